"""A selector that knows only some of an engine's arms."""

from collections.abc import Sequence

from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector


class ArmSubset(Selector):
    """Shows a selector the arms that it chooses among, numbered as it knows them.

    Args:
        selector: chooses among them.
        actions: the engine's index of each of them.

    Raises:
        ValueError: if there is none, or one twice.
    """

    def __init__(self, selector: Selector, actions: Sequence[int]) -> None:
        if not actions or len(set(actions)) < len(actions):
            raise ValueError(f"actions must name at least one arm and none twice, got {list(actions)}")
        self._selector, self._actions = selector, tuple(actions)
        self._index = {action: i for i, action in enumerate(actions)}

    def start(self, query: QueryState) -> None:
        """Begin a request."""
        self._selector.start(query)

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Translate what is known, and the choice back."""
        return [self._actions[i] for i in self._selector.select([self._shown(round_) for round_ in rounds])]

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Translate the arm that was used; a round of an arm that the selector does not know is not its own."""
        known = [one for one in observations if one.action in self._index]
        self._selector.observe([one._replace(action=self._index[one.action]) for one in known])

    def finish(self, request_id: str) -> None:
        """Forget a request."""
        self._selector.finish(request_id)

    def _shown(self, round_: RoundContext) -> RoundContext:
        match_length, actions = round_.match_length, self._actions
        return round_._replace(
            available=tuple(round_.available[action] for action in actions),
            match_length=lambda i: match_length(actions[i]),
        )
