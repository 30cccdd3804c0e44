"""Leaving an arm alone: for a while after it has failed several times, or until it is up again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal


class CircuitBreaker:
    """Opens after failures in a row; once its time is over, one more failure opens it again, a success closes it.

    It is open as well while health checks find the arm down, and closed once they find it up again.

    Args:
        most_failures: in a row before it opens, >= 1.
        open_s: how long it stays open, > 0.
        clock: seconds that never run backwards.

    Attributes:
        down: what the last health check failed by; None where it found the arm up, or there was none.
    """

    def __init__(
        self, most_failures: int = 3, open_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if most_failures < 1 or not open_s > 0:
            raise ValueError(f"most_failures must be >= 1 and open_s > 0, got {most_failures} and {open_s}")
        self._most_failures, self._open_s, self._clock = most_failures, open_s, clock
        self.down: str | None = None
        self._n_failures = 0
        self._open_until = -float("inf")

    @property
    def is_open(self) -> bool:
        """Whether the arm is to be left alone."""
        return self.is_down or self._clock() < self._open_until

    @property
    def is_down(self) -> bool:
        """Whether the last health check found the arm down."""
        return self.down is not None

    @property
    def state(self) -> Literal["up", "masked", "down"]:
        """Whether the arm may be asked, and if not whether for failures or for a health check."""
        return "down" if self.is_down else "masked" if self.is_open else "up"

    def checked(self, failure: str | None) -> None:
        """Note what a health check found: None for an arm that is up, else what it failed by."""
        if failure is None and self.is_down:
            self.succeeded()
        self.down = failure

    def succeeded(self) -> None:
        """Note an answer."""
        self.down = None
        self._n_failures = 0
        self._open_until = -float("inf")

    def failed(self) -> None:
        """Note a failure."""
        self._n_failures += 1
        if self._n_failures >= self._most_failures:
            self._open_until = self._clock() + self._open_s
