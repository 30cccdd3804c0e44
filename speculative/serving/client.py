"""Who is answered: what a service tells the other end of a connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from speculative.serving.problem import Problem


class Client(Protocol):
    """Who is answered."""

    async def start(self, headers: Mapping[str, str]) -> None:
        """Begin an answer."""

    async def send(self, payload: bytes) -> None:
        """Send a payload of it."""

    async def end(self) -> None:
        """End it."""

    async def break_off(self, problem: Problem) -> None:
        """End an answer that has begun and cannot be finished."""

    async def refuse(self, status: int, payload: bytes, headers: Mapping[str, str]) -> None:
        """Answer with an error, where no answer has begun."""
