"""Inverse propensity scoring with clipped weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem, check_max_weight
from bandits.off_policy.terms import Terms

_BIASED = "it would hold the mean of the clipped terms, which is not the policy's value; IPS and SNIPS have intervals"


@dataclass(frozen=True)
class ClippedIPS(OffPolicyEstimator):
    """Mean of min(w, max_weight) r: less noise than IPS, and a bias towards zero that the estimate states.

    Where weights may be clipped it has no interval: on logs that clip a tenth of the mean weight, intervals around the
    clipped mean hold the truth in none (examples/benchmarks/bench_intervals.py).

    Args:
        max_weight: where weights are clipped, >= 1. Terms are bounded where the problem states `reward_range`.

    Source: Ionides 2008, Truncated Importance Sampling. (Bottou et al. 2013, arXiv:1209.2355, set weights above the
        bound to zero rather than to the bound.)
    """

    max_weight: float = 10.0

    def __post_init__(self) -> None:
        check_max_weight(self.max_weight)

    @property
    def name(self) -> str:
        """Return the name with the bound."""
        return f"ClippedIPS({self.max_weight:g})"

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return min(w, max_weight) r."""
        clipped = np.minimum(problem.weights, self.max_weight)
        lost = problem.mean(problem.weights - clipped)
        n_clipped = int((problem.weights > self.max_weight).sum())
        note = (
            f"{n_clipped} weights above {self.max_weight:g} were clipped, which takes {lost:.3g} of about 1 from the "
            "mean weight: the estimate is biased towards 0 by about that share"
        )
        terms = problem.terms(
            clipped * problem.log.rewards,
            weights=clipped,
            range=problem.weighted_range(min(self.max_weight, problem.max_weight or self.max_weight)),
            notes=(note,) if n_clipped else (),
        )
        never = problem.max_weight is not None and problem.max_weight <= self.max_weight
        return terms if never else replace(terms, biased=_BIASED)
