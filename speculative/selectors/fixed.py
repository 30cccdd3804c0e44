"""One arm for every round."""

from collections.abc import Sequence

from speculative.protocols.selector import Action, Choice, RoundContext, Selector


class FixedSelector(Selector):
    """Always the same arm."""

    def __init__(self, action: int) -> None:
        self._choice = Action(action)

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[Choice]:
        """The same arm for every request."""
        return [self._choice] * len(rounds)
