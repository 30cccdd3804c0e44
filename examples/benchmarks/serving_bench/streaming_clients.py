"""Many clients at once, each on a connection of its own, who check every word that they get."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

_DECISION = re.compile(rb"x-draftpick-id: (\S+)")
_WORD = re.compile(rb"w\d+")


@dataclass(frozen=True)
class Asked:
    """What became of one request.

    Attributes:
        first_s: seconds to the first event; inf where none came.
        total_s: seconds to the end.
        is_whole: whether all tokens and [DONE] came.
        is_crossed: whether a word of another request was among them.
        decision_id: of the front door; empty where there is none.
    """

    first_s: float
    total_s: float
    is_whole: bool
    is_crossed: bool
    decision_id: str = ""


async def ask_all(
    ports: Sequence[int], numbers: Sequence[int], n_clients: int, n_tokens: int, spread_s: float = 0.0
) -> list[Asked]:
    """Send one streaming request for each number, the clients spread over the ports; a client ends with its server.

    The clients begin evenly over `spread_s` seconds; with 0 all begin at once, and keep in step where answers take
    equally long.
    """
    waiting = list(reversed(numbers))
    outcomes: list[Asked] = []

    async def client(port: int, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
            with closing(writer):
                while waiting:
                    outcomes.append(await _ask(reader, writer, waiting.pop(), n_tokens))
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the server has died; what was whole before counts

    await asyncio.gather(*(client(ports[i % len(ports)], spread_s * i / n_clients) for i in range(n_clients)))
    return outcomes


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, n_tokens: int) -> Asked:
    word = b"w%d" % number
    content = f"please repeat this {word.decode()}"
    body = json.dumps(
        {
            "model": "draftpick",
            "stream": True,
            "max_tokens": n_tokens,
            "messages": [{"role": "user", "content": content}],
        }
    ).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % len(body)
    begin, first_s, received = time.perf_counter(), float("inf"), b""
    writer.write(head + body)
    said = await reader.readuntil(b"\r\n\r\n")
    while size := int(await reader.readuntil(b"\r\n"), 16):
        chunk = await reader.readexactly(size + 2)
        first_s = min(first_s, time.perf_counter() - begin)
        received += chunk[:-2]
    await reader.readexactly(2)
    words = _WORD.findall(received)
    is_whole = words.count(word) == n_tokens and received.endswith(b"data: [DONE]\n\n")
    decision = _DECISION.search(said)
    decision_id = "" if decision is None else decision[1].decode()
    return Asked(first_s, time.perf_counter() - begin, is_whole, any(one != word for one in words), decision_id)
