"""An OpenAI-compatible server that follows a script: it repeats the prompt's last word, and misbehaves as told.

A few lines on asyncio's own streams, so that it costs as little time as a server can.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Literal, Self

Fault = Literal[
    "status", "refuse", "garbage", "hang", "stall", "cut", "error_event", "lying_usage", "endless", "comments"
]


@dataclass(kw_only=True)
class Script:
    """What a server does.

    Attributes:
        n_tokens: of an answer; fewer where the request's max_tokens says so.
        first_s: seconds before the first token.
        token_s: seconds before each further one.
        fault: how it misbehaves; None for not at all.
        status: of the fault "status".
        facts: fields beside the last choices, such as llama.cpp's timings.
        refuses: body fields with which a request is refused.
        knobs: body field to the facts that a request with it gets.
        chunks: what a stream holds instead of tokens, as it is sent.
        character_s: more seconds before the first token, for each character that no earlier prompt began with.
        health: status of its `/health`.
        metrics: its `/metrics`.
        asked: the requests so far: their bodies and headers.
        n_left: clients that left before the end.
        n_connections: opened so far.
    """

    n_tokens: int = 4
    first_s: float = 0.0
    token_s: float = 0.0
    fault: Fault | None = None
    status: int = 503
    facts: Mapping[str, object] = field(default_factory=dict)
    refuses: Sequence[str] = ()
    knobs: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    chunks: Sequence[Mapping[str, object]] = ()
    character_s: float = 0.0
    health: int = 200
    metrics: str = ""
    asked: list[tuple[dict, dict]] = field(default_factory=list)
    n_left: int = 0
    n_connections: int = 0


class ScriptedUpstream:
    """Runs a script on a port of this machine, in a thread with a loop of its own, while it is entered."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self._prompts: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=2048, limit=1 << 23)

    async def _close(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.script.n_connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.script.n_left += 1
        except asyncio.CancelledError:  # it is being closed, of which asyncio would make an error of its own
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        if head[0].startswith("GET "):
            return self._tell(writer, head[0].split(" ")[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))))
        script = self.script
        script.asked.append((body, headers))
        if script.fault == "hang":
            await asyncio.sleep(3600)
        if script.fault in ("status", "refuse") or any(name in body for name in script.refuses):
            status = script.status if script.fault == "status" else 400
            _write(writer, status, {"error": {"message": "as scripted", "param": "logit_bias"}})
            return True
        await asyncio.sleep(script.first_s + script.character_s * self._n_unread(_prompt(body)))
        word = _last_word(body)
        chat = "chat" in head[0]
        if not body.get("stream"):
            await asyncio.sleep(script.token_s * (self._n_tokens(body) - 1))
            _write(writer, 200, self._whole(body, word, chat))
            return True
        return await self._stream(writer, body, word, chat)

    def _tell(self, writer: asyncio.StreamWriter, path: str) -> bool:
        known = {"/health": (self.script.health, ""), "/metrics": (200, self.script.metrics)}
        status, text = known.get(path, (404, ""))
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(text), text.encode()))
        return True

    def _n_unread(self, prompt: str) -> int:
        read = max((_n_shared(one, prompt) for one in self._prompts), default=0)
        if self.script.character_s:
            self._prompts.append(prompt)
        return len(prompt) - read

    async def _stream(self, writer: asyncio.StreamWriter, body: dict, word: str, chat: bool) -> bool:
        script = self.script
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for chunk in script.chunks:
            _event(writer, _dumped(dict(chunk)))
        n_tokens = 0 if script.chunks else self._n_tokens(body)
        for number in range(n_tokens):
            if number:
                await asyncio.sleep(script.token_s)
            if number == n_tokens // 2 and script.fault in ("cut", "stall", "garbage", "error_event"):
                if script.fault == "cut":
                    return False
                if script.fault == "stall":
                    await asyncio.sleep(3600)
                _event(writer, b"no JSON at all" if script.fault == "garbage" else b'{"error": {"message": "broken"}}')
            text = f"{word} "
            choice = {"index": 0, "finish_reason": None} | ({"delta": {"content": text}} if chat else {"text": text})
            last = self._facts(body) if number == n_tokens - 1 else {}
            _event(writer, _dumped({"id": "up", "object": "chunk", "choices": [choice], **last}))
            await writer.drain()
        if (body.get("stream_options") or {}).get("include_usage"):
            _event(writer, _dumped({"id": "up", "object": "chunk", "choices": [], "usage": self._usage(n_tokens)}))
        _event(writer, b"[DONE]")
        if script.fault == "endless":
            await asyncio.sleep(3600)
        while script.fault == "comments":
            writer.write(b"3\r\n:\n\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _whole(self, body: dict, word: str, chat: bool) -> dict:
        text = " ".join([word] * self._n_tokens(body))
        choice: dict = {"index": 0, "finish_reason": "stop"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        answer: dict = {"id": "up", "object": "chat.completion", "created": 0, "model": "scripted"}
        if self.script.fault == "garbage":
            return {"nothing": "of use"}
        return answer | {"choices": [choice], "usage": self._usage(self._n_tokens(body)), **self._facts(body)}

    def _n_tokens(self, body: dict) -> int:
        return min(self.script.n_tokens, body.get("max_tokens") or self.script.n_tokens)

    def _usage(self, n_tokens: int) -> dict:
        n = 10**9 if self.script.fault == "lying_usage" else n_tokens
        return {"prompt_tokens": 1, "completion_tokens": n, "total_tokens": n + 1}

    def _facts(self, body: dict) -> Mapping[str, object]:
        for knob, facts in self.script.knobs.items():
            if knob in body:
                return facts
        return self.script.facts


def run_scripted(script: Script, pipe: Connection) -> None:
    """Run a script in this process: send its port, and end once anything comes back."""
    with ScriptedUpstream(script) as server:
        pipe.send(server.port)
        pipe.recv()


def _prompt(body: dict) -> str:
    said = [one.get("content") for one in body["messages"]] if "messages" in body else [body["prompt"]]
    return "\n".join(map(str, said))


def _n_shared(first: str, second: str) -> int:
    return next(
        (i for i, (x, y) in enumerate(zip(first, second, strict=False)) if x != y), min(len(first), len(second))
    )


def _last_word(body: dict) -> str:
    return _prompt(body).split()[-1]


def _dumped(value: dict) -> bytes:
    return json.dumps(value).encode()


def _event(writer: asyncio.StreamWriter, data: bytes) -> None:
    line = b"data: %s\n\n" % data
    writer.write(b"%x\r\n%s\r\n" % (len(line), line))


def _write(writer: asyncio.StreamWriter, status: int, answer: dict) -> None:
    body = _dumped(answer)
    writer.write(
        b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)
    )
