"""What a process that serves asks of Python, so that its event loop waits for nothing else for long."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

_SWITCH_S = 0.0001


@contextmanager
def loop_first() -> Iterator[None]:
    """Let the loop have processor and interpreter soon while the learner computes, until this is left.

    Python lets a thread compute for 5 ms before another one's turn. Choices and steps of learning are too small for a
    second BLAS thread, which would spin on the loop's core. What was loaded so far stays, and collections of garbage
    need not look through it.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
