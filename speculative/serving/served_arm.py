"""What a service needs of an arm, and what it takes of whatever an arm does."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from speculative.serving.completion_request import CompletionRequest
from speculative.serving.problem import ArmFailure, ArmRefusal


class ServedArm(Protocol):
    """What a service needs of an arm: an upstream, or a draft of an engine of one's own."""

    name: str

    @property
    def n_waiting(self) -> int:
        """Requests in its queue, as far as it tells; 0 where it does not."""

    def answer(self, request: CompletionRequest) -> AsyncGenerator[bytes, None]:
        """Yield the answer's payloads; raise `ArmFailure` or `ArmRefusal` where there is none."""


async def answered_by(arm: ServedArm, request: CompletionRequest) -> AsyncGenerator[bytes, None]:
    """Yield an arm's payloads; whatever it raises is a failure of the arm, or the refusal that it says it is."""
    try:
        async with aclosing(arm.answer(request)) as payloads:
            async for payload in payloads:
                yield payload
    except (ArmFailure, ArmRefusal):
        raise
    except Exception as error:  # an arm of the user's own may raise anything
        raise ArmFailure(f"{type(error).__name__}: {error}", type(error).__name__) from error
