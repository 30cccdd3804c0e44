"""One arm for every round."""

from collections.abc import Sequence

from speculative.protocols.selector import RoundContext, Selector


class FixedSelector(Selector):
    """Always the same arm."""

    def __init__(self, action: int) -> None:
        self.action = action

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """The same arm for every request."""
        return [self.action] * len(rounds)
