"""Is a policy on trial better than the incumbent? Told from served decisions, and right at every time at once."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bandits import checks
from bandits.data.decision import Decision
from bandits.off_policy.confidence_sequence import LowerConfidenceSequence


class Trial:
    """Values a policy against the incumbent arm on decisions that a `Rollout` made, one after another.

    Each rewarded decision gives (proposed(a) - [a = incumbent]) / propensity * (reward - usual), rewards as shares of
    their range and the usual one a running mean: its expectation is what the policy would have earned more than the
    incumbent. Both bounds hold together at all times with probability 1 - level, however long one looks, and however
    policy and traffic change meanwhile: they are of the mean over what was seen.

    Where the other arms got no share, nothing can be told, and the bounds stay where they begin.

    Args:
        incumbent: the arm that served before.
        reward_bounds: lowest and highest reward, finite.
        most_weight: of a decision, from `Rollout.most_weight`; infinite where nothing can be told.
        level: probability that a bound is ever wrong.

    Attributes:
        n: decisions taken.
        n_passed_over: decisions that could not be taken: without the incumbent, or drawn with other shares.

    Raises:
        ValueError: if the bounds are not finite, the lowest first; or the weight is not > 0.

    Source: Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro 2022 (arXiv:2210.10768), section 3; the usual reward
    that is subtracted is their predictable centring.
    """

    def __init__(
        self,
        incumbent: str,
        reward_bounds: tuple[float, float],
        *,
        most_weight: float,
        level: float = 0.05,
    ) -> None:
        low, high = (checks.number(bound, "reward_bounds") for bound in reward_bounds)
        if not low < high:
            raise ValueError(f"reward_bounds must be the lowest and the highest reward, got {low:g} and {high:g}")
        self._incumbent, self._low, self._range = incumbent, low, high - low
        level = checks.share(level, "level")
        self._most_weight = math.inf if most_weight == math.inf else checks.positive(most_weight, "most_weight")
        ends = (-1.0 if math.isinf(self._most_weight) else -self._most_weight, 1.0)
        self._better = LowerConfidenceSequence(*ends, level / 2)
        self._worse = LowerConfidenceSequence(*ends, level / 2)
        self._total = 0.5
        self.n = self.n_passed_over = 0

    @property
    def interval(self) -> tuple[float, float]:
        """The least and the most that the policy may earn more a decision, in units of the reward."""
        return max(-1.0, self._better.bound) * self._range, -max(-1.0, self._worse.bound) * self._range

    @property
    def estimate(self) -> float:
        """The mean of what it earned more, in units of the reward; nan without any decision."""
        return self._better.mean * self._range

    @property
    def is_better(self) -> bool:
        """Whether the policy earns more than the incumbent beyond doubt."""
        return self._better.bound > 0

    @property
    def is_worse(self) -> bool:
        """Whether it earns less beyond doubt."""
        return self._worse.bound > 0

    def take(self, decision: Decision, reward: float) -> None:
        """Take a rewarded decision.

        Args:
            decision: with what the policy proposed.
            reward: within the bounds.
        """
        value = checks.within((reward - self._low) / self._range, 0.0, 1.0, "reward, as a share of its range,")
        weight = self._weight(decision.proposed or {}, decision)
        if weight is None or math.isinf(self._most_weight):
            self.n_passed_over += 1
            return
        gained = weight * (value - self._total / (self.n + 1))
        self._better.update(gained)
        self._worse.update(-gained)
        self._total += value
        self.n += 1

    def _weight(self, proposed: Mapping[str, float], decision: Decision) -> float | None:
        """Return the weight, which knows nothing of the reward, or None for a decision that is not of this trial."""
        if self._incumbent not in proposed or decision.probabilities.get(self._incumbent, 0.0) <= 0:
            return None
        weight = (proposed[decision.arm] - (decision.arm == self._incumbent)) / decision.propensity
        return weight if abs(weight) <= self._most_weight * (1 + 1e-9) else None
