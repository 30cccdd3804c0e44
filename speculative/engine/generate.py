"""Loops over the engine's steps: whole texts, and texts as they grow."""

from collections.abc import Callable, Iterator, Sequence

from speculative.engine.engine import Engine
from speculative.protocols.request import Generation, Request, RoundResult


def generate(
    engine: Engine, requests: Sequence[Request], on_finish: Callable[[Generation], None] | None = None
) -> list[Generation]:
    """Answer all requests and return them in the order asked; an error leaves none of them in the engine.

    Args:
        engine: runs up to its `max_batch` requests at once.
        requests: what is asked.
        on_finish: called with each text as it ends, for progress.

    Raises:
        ValueError: if a request cannot be answered; see `Engine.submit`.
    """
    pending: set[str] = set()
    done: dict[str, Generation] = {}
    try:
        for request in requests:
            pending.add(engine.submit(request))
        while pending:
            for result in engine.step():
                if result.finished is not None and result.request_id in pending:
                    pending.remove(result.request_id)
                    done[result.request_id] = engine.take(result.request_id)
                    if on_finish is not None:
                        on_finish(done[result.request_id])
    finally:
        for request_id in pending:
            engine.discard(request_id)
    return [done[request.id] for request in requests]


def stream(engine: Engine, request: Request) -> Iterator[RoundResult]:
    """Yield what each round of one request gave: its new tokens, and their text where the engine decodes.

    After the last one, `engine.take` hands over the generation with its counts. Abandoning the iterator
    frees all that the request holds, its generation included.

    Raises:
        ValueError: if the request cannot be answered; see `Engine.submit`.
        RuntimeError: if another loop stepped the engine meanwhile: it was told what this request gave.
    """
    engine.submit(request)
    finished, n_steps = False, engine.n_steps
    try:
        while not finished:
            if engine.n_steps != n_steps:
                raise RuntimeError(
                    f"request {request.id!r}: another loop stepped this engine while the stream was read; drive one "
                    "engine by one loop over submit, step and cancel"
                )
            n_steps += 1
            for result in engine.step():
                if result.request_id == request.id:
                    finished = result.finished is not None
                    yield result
    finally:
        if not finished:
            engine.discard(request.id)
