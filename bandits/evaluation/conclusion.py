"""The sentence below every table: the best policy against the best fixed arm, and which one to use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bandits.checks import Float64
from bandits.evaluation.objective import Objective
from bandits.statistics.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The best policy against the arm that was best on training data, on rows that neither was chosen on.

    Attributes:
        policy: the best one by the objective.
        n_policies: from how many it was taken; the best of many looks a little better than it is.
        fixed_arms: the best fixed arm on the training data of each division, each once.
        objective: "seconds": `estimate` is the arm's total seconds over the policy's; "reward": it is the policy's
            mean reward minus the arm's.
        estimate: paired by query.
        supported: false where it rests on a log that cannot support it; see `Diagnostics`.
    """

    policy: str
    n_policies: int
    fixed_arms: tuple[str, ...]
    objective: Objective
    estimate: Estimate
    supported: bool = True

    @property
    def gains(self) -> bool:
        """Return whether the log supports it and the interval lies above no difference."""
        return self.supported and self.estimate.low > self._no_difference

    def __str__(self) -> str:
        best = f" (the best of {self.n_policies} policies)" if self.n_policies > 1 else ""
        return f"{self.policy}{best}: {self._finding()}: {self._advice()}."

    @property
    def _no_difference(self) -> float:
        return 1.0 if self.objective == "seconds" else 0.0

    def _finding(self) -> str:
        arm = f"always {self.fixed_arms[0]}"
        if len(self.fixed_arms) > 1:
            arm = f"always the best arm of its training data ({' or '.join(self.fixed_arms)})"
        if self.objective == "seconds":
            return f"{self.estimate:.2f} times as fast as {arm} by total seconds"
        if self.estimate.value < 0:
            less = Estimate(-self.estimate.value, -self.estimate.high, -self.estimate.low)
            return f"mean reward {less:.3g} below that of {arm}"
        return f"mean reward {self.estimate:.3g} above that of {arm}"

    def _advice(self) -> str:
        if not self.supported:
            return "the log cannot support this, so use the fixed arm and log more"
        if self.gains:
            return "use the policy"
        if self.estimate.high < self._no_difference:
            return "use the fixed arm"
        return "no difference can be told: use the fixed arm, which is simpler"


def conclude(
    names: Sequence[str],
    policies: Float64,
    fixed: Float64,
    fixed_arms: Sequence[str],
    objective: Objective,
    estimate: Callable[[Float64], Estimate],
) -> Conclusion:
    """Return the conclusion on the policy that is best by the objective.

    Args:
        names: c names of policies.
        policies: (1 + B, c) float64, mean seconds or rewards of each, from the data and from each resample.
        fixed: (1 + B,) float64, the same of the best fixed arm, on the same draws.
        fixed_arms: the best arm on each training data.
        objective: what the means are of.
        estimate: returns the first of (1 + B,) figures with the interval of the others.

    Raises:
        ValueError: if a total of seconds is not above 0, where no speed is defined.
    """
    if objective == "seconds":
        best = int(np.argmin(policies[0]))
        if not (policies[0, best] > 0 and fixed[0] > 0):
            raise ValueError("speeds need total costs above 0, and one is not: pass objective='reward'")
        figures = fixed / np.where(policies[:, best] > 0, policies[:, best], np.nan)
    else:
        best = int(np.argmax(policies[0]))
        figures = policies[:, best] - fixed
    return Conclusion(
        policy=names[best],
        n_policies=len(names),
        fixed_arms=tuple(dict.fromkeys(fixed_arms)),
        objective=objective,
        estimate=estimate(figures),
    )
