"""A server in a process of its own, from its start to its end, and one request after another."""

import json
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from arms import Query
from speculative.measuring.wall_clock import Mode, Run
from speculative.targets.target import Target

START_S, ANSWER_S, STOP_S = 300.0, 300.0, 10.0


class LlamaServer:
    """A running server; leaving the block ends its process, whatever happened.

    Args:
        command: starts it; its first line of standard output is JSON with `address`, `version` and `system`.
        start_s: seconds to wait for that line.

    Raises:
        RuntimeError: if it ends, or says nothing in time; the message has its last words.
    """

    def __init__(self, command: Sequence[str], *, start_s: float = START_S) -> None:
        self._said = ""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed when the block is left)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        try:
            said = json.loads(self._first_line(start_s))
            self.address, self.version = str(said["address"]), str(said["version"])
            self.system = str(said["system"]).strip()
        except (ValueError, KeyError, TypeError) as error:
            self.stop()
            raise RuntimeError(f"{command[0]} did not start a server; it said: {self._last_words()}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Close its input, which ends it; kill it where it does not end in time."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._read_errors()
        self._errors.close()

    def complete(self, token_ids: Sequence[int], max_new_tokens: int, *, answer_s: float = ANSWER_S) -> tuple[int, ...]:
        """Return the greedy continuation's token ids.

        Raises:
            RuntimeError: if there is no answer in time, or it is none.
        """
        asked = {
            "prompt": list(token_ids),
            "n_predict": max_new_tokens,
            "temperature": 0.0,
            "cache_prompt": False,
            "return_tokens": True,
        }
        request = urllib.request.Request(
            f"{self.address}/completion", json.dumps(asked).encode(), {"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the loopback interface has no proxy
        try:
            with opener.open(request, timeout=answer_s) as answer:
                return tuple(json.load(answer)["tokens"])
        except (OSError, ValueError, KeyError) as error:
            raise RuntimeError(f"{self.address} gave no answer ({error}); it said: {self._last_words()}") from error

    def _first_line(self, seconds: float) -> str:
        """Return the first line, empty where the process ends or is ended because it says nothing."""
        assert self._process.stdout is not None
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            return self._process.stdout.readline()
        finally:
            timer.cancel()

    def _last_words(self) -> str:
        if not self._errors.closed:
            self._read_errors()
        return self._said or "nothing"

    def _read_errors(self) -> None:
        self._errors.seek(0)
        self._said = " | ".join(self._errors.read().decode(errors="replace").strip().splitlines()[-3:])


def server_mode(server: LlamaServer, target: Target, name: str) -> Mode:
    """Answer with a server, timed from token ids in to token ids out, the loopback interface included."""

    def run(query: Query) -> Run:
        request = target.request(query)
        begin = time.perf_counter()
        tokens = server.complete(request.token_ids, request.max_new_tokens)
        return Run(query.id, query.domain, name, time.perf_counter() - begin, tokens)

    return run
