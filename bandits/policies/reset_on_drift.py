"""Another policy, which forgets an arm whose rewards are no longer what they were."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bandits import checks
from bandits.checks import Float64
from bandits.data.policy_data import PolicyData
from bandits.policies.linear.lin_ucb import LinUCB
from bandits.policies.policy import Policy
from bandits.policies.predicts_rewards import PredictsRewards
from bandits.policies.state import Arrays, PolicyState, check_not_negative
from bandits.policies.wrapped_policy import WrappedPolicy

_MOST = 4.0  # standard deviations that one reward counts at most, so that a few failures are no drift
_ARRAYS = ("drift_seen", "drift_mean", "drift_squares", "drift_up", "drift_down", "drift_resets", "drift_last")


@dataclass(frozen=True, slots=True)
class DriftReset:
    """An arm was forgotten.

    Attributes:
        arm: its name.
        number: how many times this arm has been forgotten, from 1.
        statistic: of Page and Hinkley when it was, in standard deviations; negative where rewards fell.
    """

    arm: str
    number: int
    statistic: float

    @property
    def reason(self) -> str:
        """Say it in a sentence."""
        way = "rose above" if self.statistic > 0 else "fell below"
        return f"rewards of {self.arm} {way} what was predicted: Page-Hinkley statistic {abs(self.statistic):.1f}"


class ResetOnDrift(WrappedPolicy):
    """Learns as another policy does, and tests for each arm whether its rewards still are as predicted.

    Of each arm the residuals e = reward - predicted reward are followed, each predicted before its row is learned, and
    standardised by their running mean m and deviation s: z = (e - m) / s, within -4 and 4. Two sums start at 0:

        up = max(0, up + z - tolerance),   down = max(0, down - z - tolerance).

    An arm is reset when one exceeds the threshold: what was known of it becomes the prior, and its test starts anew.
    The first `burn_in` rewards of an arm teach it, the next as many its deviation; then the test begins. Rows are
    learned one by one, in order.

    A threshold of 20 with a tolerance of 0.25 resets an arm whose rewards moved by s after about 27 of its rewards;
    `docs/results/serving.md` has how often it is wrong. An arm that is not chosen is not tested. Around a
    `Discounted` linear policy each row costs a factorisation of each arm: with wide contexts, more than a busy server
    has time for.

    Args:
        policy: one that `PredictsRewards`, or one that explores or forgets around it; None takes `LinUCB()`.
        threshold: > 0, in standard deviations.
        tolerance: >= 0, the move that does not matter, in standard deviations.
        burn_in: rewards of an arm, in [2, 10^9].

    Source: Page 1954, Continuous Inspection Schemes; Hinkley 1971, Inference about the change-point from cumulative sum
    tests; in the running form of Gama et al. 2014, A Survey on Concept Drift Adaptation, section 3.2. Standardising and
    limiting residuals is ours.
    """

    def __init__(
        self, policy: Policy | None = None, *, threshold: float = 20.0, tolerance: float = 0.25, burn_in: int = 20
    ) -> None:
        super().__init__(LinUCB() if policy is None else policy)
        predictor = self.policies_inside[-1]
        if not isinstance(predictor, PredictsRewards) or any(isinstance(p, ResetOnDrift) for p in self.policies_inside):
            raise TypeError(f"policy must predict rewards, and not be reset on drift already, got {self.policy!r}")
        self._predictor = predictor
        self.threshold = checks.positive(threshold, "threshold")
        self.tolerance = checks.not_negative(tolerance, "tolerance")
        self.burn_in = checks.whole(burn_in, 2, 10**9, "burn_in")
        self.exact_updates = False  # the order of the rows matters
        state = self.policy.state
        if state is not None and "drift_seen" not in state.per_arm:
            self.policy.state = state.updated(_fresh(len(state.arm_names)))

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return the inner policy's prior, and tests that have seen nothing."""
        return super()._initial_state(arm_names, n_features).updated(_fresh(len(arm_names)))

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Learn row by row, and reset arms."""
        tests = {name: state.per_arm[name].copy() for name in _ARRAYS}
        inner = state.updated()
        rewards, weights = data.feedback().by_arm()
        prior = super()._initial_state(state.arm_names, state.n_features).per_arm
        for row in range(len(data)):
            one = data if len(data) == 1 else data.subset([row])
            arms = np.flatnonzero(weights[:, row]).tolist()
            predicted = self._predictor._predict_rewards(inner, one.contexts)[0]
            inner = super()._update(inner, one)
            for arm in arms:
                if self._moved(tests, arm, float(rewards[arm, row] - predicted[arm])):
                    inner = inner.with_known(arm, {name: array[[arm]] for name, array in prior.items()})
        return inner.updated(tests)

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject tests that no rewards can have led to, and what the inner policy rejects."""
        check_not_negative(arrays, *(f"per_arm.{name}" for name in _ARRAYS if name not in ("drift_mean", "drift_last")))
        super().check_arrays(arrays)

    def _moved(self, tests: Mapping[str, Float64], arm: int, residual: float) -> bool:
        """Take a residual into an arm's test, and begin another one if the arm has moved."""
        tests["drift_seen"][arm] += 1
        n = tests["drift_seen"][arm] - self.burn_in
        if n <= 0 or not math.isfinite(residual):
            return False
        from_mean = residual - tests["drift_mean"][arm]
        if n > self.burn_in and tests["drift_squares"][arm] > 0:
            z = from_mean / math.sqrt(tests["drift_squares"][arm] / (n - 2))
            z = min(_MOST, max(-_MOST, z))
            for name, sign in (("drift_up", 1.0), ("drift_down", -1.0)):
                tests[name][arm] = max(0.0, tests[name][arm] + sign * z - self.tolerance)
        tests["drift_mean"][arm] += from_mean / n
        tests["drift_squares"][arm] += from_mean * (residual - tests["drift_mean"][arm])
        up, down = tests["drift_up"][arm], tests["drift_down"][arm]
        if max(up, down) <= self.threshold:
            return False
        for name in _ARRAYS[:5]:
            tests[name][arm] = 0.0
        tests["drift_resets"][arm] += 1
        tests["drift_last"][arm] = up if up > down else -down
        return True


def _fresh(n_arms: int) -> dict[str, Float64]:
    return {name: np.zeros(n_arms) for name in _ARRAYS}


def resets_since(before: Policy, after: Policy) -> Iterator[DriftReset]:
    """Yield what `ResetOnDrift` forgot in between, for each arm the last one; nothing for other policies.

    Args:
        before: as it was.
        after: the same policy after further updates.
    """
    new, old = after.state, before.state
    if new is None or "drift_resets" not in new.per_arm:
        return
    counts = dict(zip(old.arm_names, old.per_arm["drift_resets"], strict=True)) if old is not None else {}
    for arm, count, last in zip(new.arm_names, new.per_arm["drift_resets"], new.per_arm["drift_last"], strict=True):
        if count > counts.get(arm, 0.0):
            yield DriftReset(arm, int(count), float(last))
