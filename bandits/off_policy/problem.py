"""The question of off-policy evaluation: what would this policy have earned where another one acted?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from bandits import checks
from bandits.checks import Float64, Int64
from bandits.data.logged_data import LoggedData
from bandits.data.splits import query_numbers
from bandits.encoders.encoder import check_same_encoder
from bandits.off_policy.reward_model import RewardModel, predicted
from bandits.off_policy.terms import LARGEST, Range, Terms, lacking_squares
from bandits.policies.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What rewards and weights keep for certain, seen or not; None where nobody knows. See `OffPolicyProblem`."""

    reward_range: tuple[float, float] | None = None
    max_weight: float | None = None

    def __post_init__(self) -> None:
        if self.reward_range is not None:
            _check_reward_range(*self.reward_range)
        if self.max_weight is not None:
            check_max_weight(self.max_weight)


@dataclass(frozen=True, eq=False)
class OffPolicyProblem:
    """A log, and the probabilities that the evaluated policy gives each arm on each of its rows.

    Args:
        log: decisions of the logging policy.
        probabilities: (n, k) float64, the evaluated policy's, in the order of the log's arms.
        reward_range: bounds that every possible reward keeps, also one that the log does not show. Needed only
            for intervals with a guarantee.
        max_weight: bound of pi_e(a given x) / propensity over all contexts and actions, seen or not; 1 over the
            logging policy's smallest probability always is one. Needed as above, and by rejection replay.

    Attributes:
        weights: (n,) float64, pi_e(action given x) / propensity; finite.
        row_weights: (n,) float64, how many rows each stands for.
        queries: (n,) int64, rows of one query share a number; without query ids each row is a query.

    Raises:
        ValueError: if the probabilities are no distributions or give an unavailable arm some, if a reward or weight
            lies outside the bounds stated for it, if a weight is infinite, or if every row has weight 0.
    """

    log: LoggedData
    probabilities: Float64
    reward_range: tuple[float, float] | None = None
    max_weight: float | None = None
    weights: Float64 = field(init=False)
    row_weights: Float64 = field(init=False)
    queries: Int64 = field(init=False)
    _predictions: dict[RewardModel, Float64] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        log = self.log
        n, k = len(log), log.n_arms
        probabilities = checks.distribution(self.probabilities, "probabilities", n, k)
        if log.available is not None and (probabilities[~log.available] > 0).any():
            checks.refuse(
                probabilities, (probabilities > 0) & ~log.available, "probabilities", "must be 0 where unavailable"
            )
        checked = {
            "probabilities": checks.frozen(probabilities),
            "weights": checks.frozen(_weights(probabilities[np.arange(n), log.actions], log.propensities)),
            "row_weights": checks.frozen(np.ones(n) if log.weights is None else log.weights),
            "queries": checks.frozen(query_numbers(log)),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check_bounds()

    def _check_bounds(self) -> None:
        if not (self.row_weights > 0).any():
            raise ValueError("an estimate needs at least one row that counts, and every row has weight 0")
        if self.reward_range is not None:
            low, high = self.reward_range
            _check_reward_range(low, high)
            outside = (self.log.rewards < low) | (self.log.rewards > high)
            if outside.any():
                checks.refuse(self.log.rewards, outside, "rewards", f"must be in reward_range [{low}, {high}]")
        if self.max_weight is not None:
            check_max_weight(self.max_weight)
            above = self.weights > self.max_weight * (1 + checks.PROBABILITY_TOLERANCE)
            if above.any():
                checks.refuse(self.weights, above, "weights", f"must be at most max_weight {self.max_weight}")

    @classmethod
    def of(
        cls,
        policy: Policy,
        log: LoggedData,
        *,
        reward_range: tuple[float, float] | None = None,
        max_weight: float | None = None,
    ) -> Self:
        """Ask what `policy` would have earned on the rows of `log`, restricted to the arms available there.

        Arms are matched by name. The policy must have been fitted to other rows, or the answer is too good.

        Raises:
            ValueError: if the policy has an arm that the log lacks, or was fitted to another encoder's contexts.
        """
        if not isinstance(log, LoggedData):
            raise TypeError(
                f"an off-policy estimate needs LoggedData, got {type(log).__name__}: on full information "
                "`evaluate` gives exact values, and `data.log_with(policy, rng)` makes a log"
            )
        if not policy.arm_names:
            policy = policy.clone()
            policy.start(log.arm_names, log.n_features)
        missing = [name for name in policy.arm_names if name not in log.arm_names]
        if missing:
            raise ValueError(
                f"the policy may choose {missing[0]!r}, which the log does not hold (arms: "
                f"{', '.join(log.arm_names)}): the log cannot say its reward; policy.remove_arm takes it out"
            )
        encoder = None if policy.state is None else policy.state.encoder
        check_same_encoder("the policy", encoder, "the log", log.encoder)
        columns = [log.arm_names.index(name) for name in policy.arm_names]
        probabilities = np.zeros((len(log), log.n_arms))
        available = None if log.available is None else log.available[:, columns]
        probabilities[:, columns] = policy.probabilities(log.contexts, available)
        return cls(log, probabilities, reward_range, max_weight)

    def about(self, probabilities: Float64) -> Self:
        """Ask the same about other probabilities; what reward models predict of the log is shared by both problems."""
        other = replace(self, probabilities=probabilities)
        object.__setattr__(other, "_predictions", self._predictions)
        return other

    @property
    def taken(self) -> tuple[Int64, Int64]:
        """Return the index of each row's logged action in an (n, k) array."""
        return np.arange(len(self.log)), self.log.actions

    def predictions(self, model: RewardModel) -> Float64:
        """Return the model's (n, k) predicted rewards; computed once, however many estimators ask."""
        if model not in self._predictions:
            self._predictions[model] = checks.frozen(predicted(model, self.log))
        return self._predictions[model]

    def expected(self, predictions: Float64) -> Float64:
        """Return (n,) float64, sum over arms of pi_e(a given x) times the prediction."""
        return np.asarray(np.einsum("nk,nk->n", self.probabilities, predictions))

    @property
    def relative_weights(self) -> Float64:
        """Return (n,) float64 for ratios: the weights, divided by the largest where that is out of all proportion."""
        largest = self.weights.max()
        return self.weights / largest if largest > LARGEST else self.weights

    def mean(self, values: Float64) -> float:
        """Return the mean of values (n,), each row as often as its weight says."""
        return float(self.row_weights / self.row_weights.sum() @ values)

    def terms(
        self,
        numerator: Float64,
        denominator: Float64 | None = None,
        offset: Float64 | None = None,
        *,
        weights: Float64 | None = None,
        range: Range = "the estimator states no bounds",
        notes: tuple[str, ...] = (),
    ) -> Terms:
        """Return terms over all rows, with the rows' weights, queries and the range of rewards filled in."""
        own = denominator if weights is None else weights
        return Terms(
            numerator,
            self.row_weights,
            self.queries,
            denominator,
            offset,
            weights,
            0.0 if own is None else self._lacking(own),
            range=range,
            reward_range=self.reward_range,
            notes=notes,
        )

    def _lacking(self, weights: Float64) -> float:
        """Return `Terms.lacking` of importance weights, whose mean is 1, or 1 over the largest that divides them."""
        if float(weights.max()) > LARGEST:
            return 0.0  # such terms are refused
        per_query = np.bincount(self.queries, self.row_weights * weights)
        largest = float(self.weights.max())
        due = self.row_weights.sum() / (largest if largest > LARGEST else 1.0)
        return lacking_squares(float(due - per_query.sum()), float(per_query.max()))

    def weighted_range(self, max_weight: float | None, low: float = 0.0, high: float = 0.0) -> Range:
        """Return the bounds of weight * (reward - prediction) for predictions in [low, high]."""
        if self.log.propensities_estimated:
            return "the propensities were estimated, so the weights have no certain bound"
        if self.reward_range is None:
            return "reward_range was not stated"
        if max_weight is None:
            return "max_weight was not stated"
        return max_weight * min(0.0, self.reward_range[0] - high), max_weight * max(0.0, self.reward_range[1] - low)


def _weights(probabilities: Float64, propensities: Float64) -> Float64:
    with np.errstate(over="ignore"):
        weights = np.asarray(probabilities / propensities)
    infinite = np.isinf(weights)
    if infinite.any():
        checks.refuse(
            propensities, infinite, "propensities", "must be large enough that the weight 1 / propensity is finite"
        )
    return weights


def _check_reward_range(low: float, high: float) -> None:
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"reward_range must be two finite numbers, low < high, got {(low, high)}")


def check_max_weight(value: float) -> None:
    """Reject a bound that weights, whose mean is 1, cannot keep."""
    rule = "a finite number >= 1 (weights average 1)"
    if checks.number(value, "max_weight", rule) < 1:
        raise ValueError(f"max_weight must be {rule}, got {value!r}")
