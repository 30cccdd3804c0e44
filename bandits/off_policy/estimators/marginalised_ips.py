"""MIPS: importance weights of what arms have in common, for logs of many arms."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from bandits.checks import Float64
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Terms


@dataclass(frozen=True)
class MarginalisedIPS(OffPolicyEstimator):
    """Mean of w(x, e) r with w(x, e) = sum_(a of e) pi_e(a given x) / sum_(a of e) pi_b(a given x), e the embedding.

    Weights of embeddings are never larger than those of arms. Unbiased where an arm's mean reward depends on context
    and embedding only, and biased otherwise, which no figure shows: worth it from some 50 arms on, where IPS has
    weights without measure. Needs the whole logged distributions (`action_probabilities`).

    Args:
        embeddings: what each arm is, by its name: a family, a size, a tuple of several; arms of one value share it.

    Source: Saito and Joachims 2022, Off-Policy Evaluation for Large Action Spaces via Embeddings (arXiv:2202.06317),
        for embeddings that are functions of the arm.
    """

    embeddings: Mapping[str, Hashable] | None = None

    def __post_init__(self) -> None:
        if self.embeddings is not None and not isinstance(self.embeddings, Mapping):
            raise TypeError(f"embeddings must be a mapping of arm names to what each arm is, got {self.embeddings!r}")

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return w(x, e) r.

        Raises:
            ValueError: if an arm has no embedding, or the log lacks its whole distributions.
        """
        places = self._places(problem.log.arm_names)
        logged = problem.log.action_probabilities
        if logged is None:
            raise ValueError(
                "MarginalisedIPS needs the probabilities of all arms on each row, and the log has no "
                "action_probabilities: log them, as `log_with` and `Agent` do"
            )
        of_taken = places == places[problem.log.actions][:, None]
        weights: Float64 = np.asarray((problem.probabilities * of_taken).sum(axis=1) / (logged * of_taken).sum(axis=1))
        bounds = problem.weighted_range(problem.max_weight)
        return problem.terms(weights * problem.log.rewards, weights=weights, range=bounds)

    def _places(self, arm_names: tuple[str, ...]) -> np.ndarray:
        """Return (k,) int64, equal where embeddings are."""
        if self.embeddings is None:
            raise ValueError(
                "MarginalisedIPS needs embeddings: MarginalisedIPS({arm name: what the arm shares with others})"
            )
        missing = [name for name in arm_names if name not in self.embeddings]
        if missing:
            raise ValueError(f"embeddings must have every arm of the log, and arm {missing[0]!r} is missing")
        values = [self.embeddings[name] for name in arm_names]
        return np.array([values.index(value) for value in values])
