"""Loops over the engine's steps: whole texts, and texts as they grow."""

from collections.abc import Callable, Iterator, Sequence

from speculative.engine.engine import Engine
from speculative.engine.request import Generation, Request


def generate(
    engine: Engine, requests: Sequence[Request], on_finish: Callable[[Generation], None] | None = None
) -> list[Generation]:
    """Answer all requests and return them in the order asked.

    Args:
        engine: runs up to its `max_batch` requests at once.
        requests: what is asked.
        on_finish: called with each text as it ends, for progress.
    """
    for request in requests:
        engine.submit(request)
    done: dict[str, Generation] = {}
    while engine.n_unfinished:
        for result in engine.step():
            if result.finished is not None:
                done[result.request_id] = engine.take(result.request_id)
                if on_finish is not None:
                    on_finish(done[result.request_id])
    return [done[request.id] for request in requests]


def stream(engine: Engine, request: Request) -> Iterator[tuple[int, ...]]:
    """Yield the new tokens of each round of one request; abandoning the iterator cancels the request."""
    engine.submit(request)
    finished = False
    try:
        while not finished:
            for result in engine.step():
                if result.request_id == request.id:
                    yield result.token_ids
                    finished = result.finished is not None
    finally:
        if not finished:
            engine.cancel(request.id)
