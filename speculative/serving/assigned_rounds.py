"""What each request of a served engine came with: one arm for all of its rounds, or a selector asked at every round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector

_Told = TypeVar("_Told", RoundContext, RoundObservation)

Chooser = int | Selector
"""The index of an arm, or what chooses one at every round."""


class AssignedRounds(Selector):
    """Follows each request's own chooser.

    A selector that raises, or chooses what is no arm, is told in `failures` for each of its requests that it was asked
    for; the requests of others go on.

    Args:
        n_arms: of the engine.

    Attributes:
        choosers: by request; whoever submits one puts its own here before.
        failures: why a request's selector is of no use, by request; for whoever steps the engine to take out.
    """

    def __init__(self, n_arms: int) -> None:
        self.n_arms = n_arms
        self.choosers: dict[str, Chooser] = {}
        self.failures: dict[str, Exception] = {}

    def start(self, query: QueryState) -> None:
        """Begin a request."""
        chooser = self.choosers[query.request.id]
        if isinstance(chooser, Selector):
            with self._told([query.request.id]):
                chooser.start(query)

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Take each request's arm, or what its selector chooses; the first arm where that has failed."""
        chosen = {one.request_id: self._fixed(one.request_id) for one in rounds}
        for selector, own in self._by_selector(rounds):
            with self._told([one.request_id for one in own]):
                actions = list(selector.select(own))
                if len(actions) != len(own) or not all(0 <= action < self.n_arms for action in actions):
                    raise ValueError(f"the selector must choose {len(own)} arms in [0, {self.n_arms}), got {actions}")
                chosen |= {one.request_id: action for one, action in zip(own, actions, strict=True)}
        return [chosen[one.request_id] for one in rounds]

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Tell each selector of its own requests."""
        for selector, own in self._by_selector(observations):
            with self._told([one.request_id for one in own]):
                selector.observe(own)

    def finish(self, request_id: str) -> None:
        """Forget a request."""
        chooser = self.choosers[request_id]
        if isinstance(chooser, Selector):
            with self._told([request_id]):
                chooser.finish(request_id)

    def _fixed(self, request_id: str) -> int:
        chooser = self.choosers[request_id]
        return chooser if isinstance(chooser, int) else 0

    def _by_selector(self, told: Sequence[_Told]) -> Iterator[tuple[Selector, list[_Told]]]:
        """Yield each selector with what is of its requests, without those that it has failed."""
        found: dict[int, tuple[Selector, list[_Told]]] = {}
        for one in told:
            chooser = self.choosers[one.request_id]
            if isinstance(chooser, Selector) and one.request_id not in self.failures:
                found.setdefault(id(chooser), (chooser, []))[1].append(one)
        yield from found.values()

    @contextmanager
    def _told(self, request_ids: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a selector of the user's own may raise anything
            for request_id in request_ids:
                self.failures.setdefault(request_id, error)
