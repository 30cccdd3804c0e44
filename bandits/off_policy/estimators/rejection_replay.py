"""Rejection replay: keep the rows that the evaluated policy could have logged itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bandits.checks import at_least
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Range, Terms


@dataclass(frozen=True)
class RejectionReplay(OffPolicyEstimator):
    """Mean reward of the rows that are kept, each with probability w / M, where M bounds the weights.

    Given that a row is kept, its context follows the log's distribution and its action the evaluated policy's, so the
    kept rows are a smaller log of that policy. On a log of uniform draws from k arms M is k, and the rule is to keep a
    row when a draw from the policy equals the logged action.

    M is the problem's `max_weight` where stated; else the largest weight of any action on the logged contexts
    where the log holds the whole distributions; else the largest logged weight, which depends a little on the
    actions drawn and is noted.

    Args:
        seed: of the draws that keep rows; over many logs use another one for each, or the draws' luck never averages
            out.

    Source: Li, Chu, Langford and Wang 2011, Unbiased Offline Evaluation, algorithm 2 (arXiv:1003.5956), for uniform
        logging; Dudik et al. 2012, Sample-efficient Nonstationary Policy Evaluation (arXiv:1210.4862).
    """

    by_batch: ClassVar[bool] = False

    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self.seed, 0, "seed")

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return the rewards of the kept rows.

        Raises:
            ValueError: if no row is kept.
        """
        bound, exact = self.bound(problem)
        uniform = np.random.default_rng(self.seed).random(len(problem.log))
        kept = np.flatnonzero(uniform * bound < problem.weights)
        if len(kept) == 0:
            raise ValueError(
                f"RejectionReplay kept none of {len(problem.log)} rows: the log holds too few decisions that the "
                "evaluated policy would have made"
            )
        _, queries = np.unique(problem.queries[kept], return_inverse=True)
        notes = [f"{len(kept)} of {len(problem.log)} rows were kept"]
        if not exact:
            notes.append(
                f"rows were kept by the largest logged weight {bound:.3g}: state max_weight for the exact distribution"
            )
        return Terms(
            problem.log.rewards[kept],
            problem.row_weights[kept],
            np.asarray(queries, dtype=np.int64),
            range=_range(problem, exact),
            reward_range=problem.reward_range,
            notes=tuple(notes),
        )

    def bound(self, problem: OffPolicyProblem) -> tuple[float, bool]:
        """Return M, and whether it does not depend on the logged actions."""
        if problem.max_weight is not None:
            return problem.max_weight, True
        logged = problem.log.action_probabilities
        if logged is None:
            return float(problem.weights.max()), False
        possible = logged > 0
        ratios = np.divide(problem.probabilities, logged, out=np.zeros(logged.shape), where=possible)
        return max(float(ratios.max()), float(problem.weights.max())), True


def _range(problem: OffPolicyProblem, exact: bool) -> Range:
    if problem.log.propensities_estimated:
        return "the propensities were estimated, so the distribution of kept rows is not certain"
    if not exact:
        return "max_weight was not stated"
    return problem.reward_range or "reward_range was not stated"
