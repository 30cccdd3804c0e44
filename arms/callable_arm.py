"""An arm around any function that turns a query into text."""

import time
from collections.abc import Callable

from arms.arm import Arm
from arms.checks import not_negative
from arms.observation import Observation
from arms.query import Query


def count_words(text: str) -> int:
    """Count what white space separates: a stand-in for tokens where there is no tokenizer."""
    return len(text.split())


class CallableArm(Arm):
    """Calls a function, for example one that asks an LLM endpoint, and times it.

    Args:
        name: The arm's name.
        function: (query, seed) -> text; the same text for the same query and seed.
        cost: What one call costs, in the caller's unit; None if unknown.
        count_tokens: text -> n_tokens. Arms whose speeds are compared must count alike.

    Raises:
        ValueError: if the cost is no number >= 0.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[Query, int], str],
        *,
        cost: float | None = None,
        count_tokens: Callable[[str], int] = count_words,
    ) -> None:
        self.name = name
        self._function = function
        self._cost = None if cost is None else not_negative(cost, "cost")
        self._count_tokens = count_tokens

    def pull(self, query: Query, seed: int) -> Observation:
        """Time one call; what it returns is both the text and the arm's own text.

        Raises:
            TypeError: if the function returns anything but a string.
        """
        start = time.perf_counter()
        text = self._function(query, seed)
        seconds = time.perf_counter() - start
        if not isinstance(text, str):
            raise TypeError(f"arm {self.name!r}: the function must return a string, got {text!r} for {query.id!r}")
        return Observation(
            arm=self.name,
            query_id=query.id,
            text=text,
            n_tokens=self._count_tokens(text),
            seconds=seconds,
            own_text=text,
            cost=self._cost,
        )
