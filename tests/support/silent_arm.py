"""An arm of a service that a test never asks for an answer."""

from collections.abc import AsyncGenerator

from speculative.serving.completion_request import CompletionRequest


class SilentArm:
    """Has a name, and answers nothing."""

    n_waiting = 0

    def __init__(self, name: str) -> None:
        self.name = name

    async def answer(self, request: CompletionRequest) -> AsyncGenerator[bytes, None]:
        return
        yield b""
