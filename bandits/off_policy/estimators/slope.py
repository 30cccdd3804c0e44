"""SLOPE: of a list of estimators, the least noisy that agrees with those of more noise and less bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import numpy as np

from bandits.checks import positive
from bandits.off_policy.estimators.doubly_robust import DoublyRobust
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.estimators.shrunk_dr import ShrunkDR
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.standard_error import several_queries
from bandits.off_policy.terms import Terms

_GRID = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)
_BIASED = "what it chose by the log itself may be biased; DoublyRobust has one"


@dataclass(frozen=True)
class Slope(OffPolicyEstimator):
    """Walks from the noisiest candidate to the least noisy and stops before one that disagrees with any before it.

        |value_i - value_j| <= tolerance * standard error of (value_i - value_j)  for all j before i

    So a bias is taken only where it is smaller than the noise that it saves, and an error much larger than that of an
    unbiased candidate is rare. It has no interval.

    Args:
        candidates: two or more, one of them without bias; by default `DoublyRobust` and `ShrunkDR` of a grid.
            `Slope.over` makes them of an estimator and a grid.
        tolerance: in standard errors, > 0; the larger, the more bias is taken for less noise.

    Source: Su, Srinath and Krishnamurthy 2020, Adaptive Estimator Selection for Off-Policy Evaluation
        (arXiv:2002.07729), after Lepski. There each candidate has an interval of its own and all must meet, which lets
        a bias of several of the noisiest one's standard errors through; candidates of one log are so much alike that
        the interval of their difference is far narrower.
    """

    by_batch: ClassVar[bool] = False

    candidates: tuple[OffPolicyEstimator, ...] = (DoublyRobust(), *(ShrunkDR(shrinkage) for shrinkage in _GRID))
    tolerance: float = 0.75

    def __post_init__(self) -> None:
        for one in self.candidates:
            if not isinstance(one, OffPolicyEstimator):
                raise TypeError(f"candidates must be off-policy estimators, got {one!r}")
        if len(self.candidates) < 2:
            raise ValueError(f"candidates must be two or more to choose from, got {len(self.candidates)}")
        positive(self.tolerance, "tolerance")

    @classmethod
    def over(cls, estimator: OffPolicyEstimator, setting: str, grid: Sequence[float]) -> Self:
        """Choose among an estimator's settings: `Slope.over(SwitchDR(), "max_weight", (30, 10, 5))`.

        Args:
            estimator: a dataclass, as all of `ESTIMATORS` are.
            setting: the name of a field.
            grid: its values, one of which should leave no bias.

        Raises:
            ValueError: if the estimator has no such setting, or refuses a value.
        """
        known = [field.name for field in fields(estimator)]  # type: ignore[arg-type]  # a dataclass, as asked for
        if setting not in known:
            raise ValueError(f"{estimator.name} has no setting {setting!r}; it has {', '.join(known) or 'none'}")
        return cls(tuple(replace(estimator, **{setting: value}) for value in grid))  # type: ignore[type-var]  # as above

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return the chosen candidate's terms.

        Raises:
            ValueError: if a candidate is not defined on this log, or counts other rows, or there is one query only.
        """
        found = [estimator.terms(problem) for estimator in self.candidates]
        for terms in found:
            several_queries(terms)
            if terms.n_queries != found[0].n_queries:
                raise ValueError("candidates must count the same rows: leave RejectionReplay out")
        influence = np.stack([terms.influence for terms in found])
        order: list[int] = np.argsort(-np.square(influence).sum(axis=1), kind="stable").tolist()
        kept = [order[0]]
        for place in order[1:]:
            apart = np.array([abs(found[place].value - found[other].value) for other in kept])
            errors = np.sqrt(np.square(influence[place] - influence[kept]).sum(axis=1))
            if (apart > self.tolerance * errors).any():
                break
            kept.append(place)
        chosen = kept[-1]
        note = f"SLOPE chose {self.candidates[chosen].name} of {len(found)} candidates"
        return replace(found[chosen], biased=_BIASED, refits=None, notes=(*found[chosen].notes, note))
