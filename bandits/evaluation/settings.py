"""How `compare` divides, trains, scores and resamples."""

from __future__ import annotations

from dataclasses import dataclass, field

from arms import Executor
from bandits import checks
from bandits.evaluation.objective import Objective
from bandits.off_policy.estimators import IPS, SNIPS, DoublyRobust, OffPolicyEstimator
from bandits.off_policy.terms import LARGEST
from bandits.policies.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSettings:
    """How `compare` divides, trains, scores and resamples.

    Args:
        test_share: in (0, 1), share of the queries that each seed scores on; the rest are for training.
        train_shares: in (0, 1], ascending and ending in 1: shares of the training queries to learn from, for
            learning curves. Smaller shares are parts of larger ones.
        logging_policy: on full information, learn from the log that this policy would have written (drawn anew
            for each seed) instead of from every arm's reward; None shows all rewards.
        estimators: for a log, the one to trust most first.
        objective: what the conclusion ranks by; None as in `objective_of`, and the reward where there is a
            `cost_weight`.
        baseline: the row that differences refer to: a policy, an arm, "best fixed arm" or "logging policy"; None takes
            the first policy.
        by_segment: also say what each policy earns on the queries of each domain: `Comparison.segment_table`.
        cost_weight: >= 0: learn from, score by and rank by reward - cost_weight * cost, in units of reward a unit of
            cost; None leaves the reward as it is. For several weights see `trade_off`.
        n_bootstrap: resamples for the intervals.
        confidence: in (0, 1).
        executor: runs the pieces of work, `ProcessExecutor(2)` in two processes; None runs one after another here. Each
            worker gets the data once, and uses as many threads as its BLAS: set OMP_NUM_THREADS=1 in the environment
            where there are several. Results do not depend on it.
    """

    test_share: float = 0.3
    train_shares: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0)
    logging_policy: Policy | None = None
    estimators: tuple[OffPolicyEstimator, ...] = field(default_factory=lambda: (DoublyRobust(), SNIPS(), IPS()))
    objective: Objective | None = None
    baseline: str | None = None
    n_bootstrap: int = 1000
    confidence: float = 0.95
    by_segment: bool = False
    cost_weight: float | None = None
    executor: Executor | None = None

    def __post_init__(self) -> None:
        checks.share(self.test_share, "test_share")
        shares = tuple(self.train_shares)
        if not shares or shares[-1] != 1 or not all(0 < a < b for a, b in zip(shares, (*shares[1:], 2), strict=True)):
            raise ValueError(f"train_shares must ascend within (0, 1] and end in 1, got {shares}")
        checks.at_least(self.n_bootstrap, 1, "n_bootstrap")
        checks.share(self.confidence, "confidence")
        if self.cost_weight is not None:
            checks.within(self.cost_weight, 0, LARGEST, "cost_weight")
            if self.objective == "seconds":
                raise ValueError("objective 'seconds' ranks by costs alone, so it takes no cost_weight: leave one out")
        if self.executor is not None and not isinstance(self.executor, Executor):
            raise TypeError(f"executor must be an Executor, got {self.executor!r}")
        names = [estimator.name for estimator in self.estimators]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"estimators must be one or more with different names, got {names}")
        object.__setattr__(self, "train_shares", shares)
        object.__setattr__(self, "estimators", tuple(self.estimators))
