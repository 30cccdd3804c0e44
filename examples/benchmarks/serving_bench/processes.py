"""Scripted upstreams and the front door, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from bandits import LinUCB
from serving_bench.scripted_upstream import Script, run_scripted
from speculative.serving.server import ServerSettings, serve
from speculative.serving.settings import ServiceSettings
from speculative.serving.upstream_spec import UpstreamPoolSpec

SLOWEST = 0.5
_ADDRESS = re.compile(r"on http://127\.0\.0\.1:(\d+)")


@contextmanager
def upstream(script: Script) -> Iterator[int]:
    """Run a scripted upstream in a process of its own, and give its port."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=run_scripted, args=(script, there), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send(None)
        process.join()


@contextmanager
def front_door(folder: Path, ports: Sequence[int], *more: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run `draftpick serve` live over upstreams a0, a1, ... on these ports, as `served` does."""
    urls = {f"a{i}": f"http://127.0.0.1:{port}" for i, port in enumerate(ports)}
    with served(folder, urls, "--mode", "live", *more) as found:
        yield found


@contextmanager
def served(
    folder: Path, urls: Mapping[str, str], *more: str, n_features: int = 256, state: str = "state"
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run `draftpick serve` until the block is left, and give its process and its port.

    Args:
        folder: of the pool file and the state.
        urls: arm to upstream.
        more: options of the command.
        n_features: of the hashing encoder.
        state: name of the state's folder.

    Raises:
        RuntimeError: if it does not start; the message has its last words.
    """
    pool = folder / "pool.toml"
    arms = [f'[[arms]]\nkind = "upstream"\nname = "{name}"\nurl = "{url}"' for name, url in urls.items()]
    pool.write_text("\n".join([f'[encoder]\nkind = "hashing"\nn_features = {n_features}', *arms]))
    command = [sys.executable, "-m", "speculative.cli", "serve", str(pool), "--state", str(folder / state)]
    with subprocess.Popen([*command, "--port", "0", *more], stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, _port(process)
        finally:
            process.terminate()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if found := _ADDRESS.search(line):
            return int(found[1])
        said.append(line.strip())
    raise RuntimeError(f"the front door did not start; it said: {' | '.join(said[-3:]) or 'nothing'}")


def serve_live(folder: Path, ports: Sequence[int], address: Connection) -> None:
    """Serve the upstreams live in this process, and send the port."""

    def say(line: str) -> None:
        if found := _ADDRESS.search(line):
            address.send(int(found[1]))

    arms = [{"kind": "upstream", "name": f"a{i}", "url": f"http://127.0.0.1:{port}"} for i, port in enumerate(ports)]
    server = ServerSettings(folder=folder / "state", port=0, slowest=SLOWEST, columns=())
    serve(
        UpstreamPoolSpec.model_validate({"arms": arms}), LinUCB(), ServiceSettings("a0", stage="live"), server, {}, say
    )


@contextmanager
def forked_front_door(folder: Path, ports: Sequence[int]) -> Iterator[tuple[BaseProcess, int]]:
    """Run the front door in a process that is forked from one which has loaded it: it serves within a moment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["serving_bench.processes"])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=serve_live, args=(folder, ports, there))
    process.start()
    there.close()
    try:
        yield process, here.recv()
    finally:
        process.terminate()
        process.join(30)
