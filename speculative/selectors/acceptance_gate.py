"""The gate of TensorRT-LLM: one draft until too little of it is accepted, then none for good."""

from collections import deque
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from arms.checks import at_least, within
from speculative.protocols.drafting_rule import EngineArm
from speculative.protocols.selector import RoundContext, RoundObservation, Selector
from speculative.selectors.spec import SelectorSpec, index_of


class AcceptanceGate(Selector):
    """One arm, until its acceptance rate over the last steps falls below a threshold; the other one from then on.

    action = arm while fewer than window_size steps drafted, or mean of their acceptance rates >= threshold;
    plain from the first step on where it does not hold, for all requests and for good.

    Args:
        arm: the action that drafts.
        plain: the action afterwards, one without a draft.
        window_size: steps with draft tokens that are averaged, >= 1.
        threshold: least mean acceptance rate, in [0, 1].

    Raises:
        ValueError: if a number is out of range.

    Source: TensorRT-LLM, pull request 12905 (`acceptance_rate_window_size`, `acceptance_rate_threshold`): one sample a
    step for the whole batch; speculation is disabled permanently. A rule to compare with: it cannot change its mind.
    """

    class Spec(SelectorSpec):
        """The settings: as the constructor's, with arms by name."""

        kind: Literal["acceptance_gate"] = "acceptance_gate"
        arm: str
        plain: str
        window_size: int = Field(ge=1)
        threshold: float = Field(ge=0, le=1)

        def build(self, arms: Sequence[EngineArm]) -> Selector:
            """Make the selector."""
            arm, plain = index_of(self.arm, arms), index_of(self.plain, arms)
            return AcceptanceGate(arm, plain, window_size=self.window_size, threshold=self.threshold)

    def __init__(self, arm: int, plain: int, *, window_size: int, threshold: float) -> None:
        self.arm, self.plain = at_least(arm, 0, "arm"), at_least(plain, 0, "plain")
        self.threshold = within(threshold, 0, 1, "threshold")
        self._rates: deque[float] = deque(maxlen=at_least(window_size, 1, "window_size"))
        self.is_shut = False

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Choose the same for every request."""
        return [self.plain if self.is_shut else self.arm] * len(rounds)

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Take the step's acceptance rate, and shut the gate where the mean is too low."""
        n_proposed = sum(observation.n_proposed for observation in observations)
        if self.is_shut or not n_proposed:
            return
        self._rates.append(sum(observation.n_accepted for observation in observations) / n_proposed)
        is_full = len(self._rates) == self._rates.maxlen
        self.is_shut = is_full and sum(self._rates) / len(self._rates) < self.threshold
