"""Leaving an arm alone for a while after it has failed several times."""

from __future__ import annotations

import time
from collections.abc import Callable


class CircuitBreaker:
    """Opens after failures in a row; once its time is over, one more failure opens it again, a success closes it.

    Args:
        most_failures: in a row before it opens, >= 1.
        open_s: how long it stays open, > 0.
        clock: seconds that never run backwards.
    """

    def __init__(
        self, most_failures: int = 3, open_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if most_failures < 1 or not open_s > 0:
            raise ValueError(f"most_failures must be >= 1 and open_s > 0, got {most_failures} and {open_s}")
        self._most_failures, self._open_s, self._clock = most_failures, open_s, clock
        self._n_failures = 0
        self._open_until = -float("inf")

    @property
    def is_open(self) -> bool:
        """Whether the arm is to be left alone."""
        return self._clock() < self._open_until

    def succeeded(self) -> None:
        """Note an answer."""
        self._n_failures = 0
        self._open_until = -float("inf")

    def failed(self) -> None:
        """Note a failure."""
        self._n_failures += 1
        if self._n_failures >= self._most_failures:
            self._open_until = self._clock() + self._open_s
