"""How many requests wait in an engine's queue, as its metrics say."""

from __future__ import annotations

import re

_NAMES = ("vllm:num_requests_waiting", "llamacpp:requests_deferred", "sglang:num_queue_reqs")
_LINE = re.compile(rf"^(?:{'|'.join(_NAMES)})(?:\{{[^\n]*\}})? ([0-9.e+]+)\s*$".encode(), re.MULTILINE)


def queue_length(page: bytes) -> int:
    """Return the number that vLLM, llama-server or SGLang tells, all its models together; 0 where none is told.

    Args:
        page: in Prometheus' text format.
    """
    total = 0.0
    for value in _LINE.findall(page):
        try:
            total += float(value)
        except ValueError:
            continue
    return int(min(total, 1e9))
