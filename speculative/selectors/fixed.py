"""One arm for every round."""

from collections.abc import Sequence
from typing import Literal

from arms.checks import at_least
from speculative.protocols.drafting_rule import EngineArm
from speculative.protocols.selector import RoundContext, Selector
from speculative.selectors.spec import SelectorSpec, index_of


class FixedSelector(Selector):
    """Always the same arm.

    Args:
        action: the arm's index, >= 0.

    Raises:
        ValueError: if it is none.
    """

    class Spec(SelectorSpec):
        """The settings: the arm's name."""

        kind: Literal["fixed"] = "fixed"
        arm: str

        def build(self, arms: Sequence[EngineArm]) -> Selector:
            """Make the selector."""
            return FixedSelector(index_of(self.arm, arms))

    def __init__(self, action: int) -> None:
        self.action = at_least(action, 0, "action")

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Choose the same arm for every request."""
        return [self.action] * len(rounds)
