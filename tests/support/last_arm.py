"""A selector of a user's own, to be named by its path."""

from collections.abc import Sequence

from speculative.protocols.draft import DraftingArm
from speculative.protocols.selector import RoundContext, Selector
from speculative.selectors import SelectorSpec


class LastArm(Selector):
    """Always the last arm."""

    class Spec(SelectorSpec):
        def build(self, arms: Sequence[DraftingArm]) -> Selector:
            return LastArm(len(arms) - 1)

    def __init__(self, action: int) -> None:
        self.action = action

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        return [self.action] * len(rounds)
