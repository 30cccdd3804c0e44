"""Scripted upstreams and the front door, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from serving_bench.scripted_upstream import Script, run_scripted


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
    """Run `draftpick serve` live over the upstreams, with further options, and give its process and its port."""
    pool = folder / "pool.toml"
    pool.write_text(
        "\n".join(
            f'[[arms]]\nkind = "upstream"\nname = "a{i}"\nurl = "http://127.0.0.1:{p}"' for i, p in enumerate(ports)
        )
    )
    command = [sys.executable, "-m", "speculative.cli", "serve", str(pool), "--state", str(folder / "state")]
    command += ["--port", "0", "--mode", "live", *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"on http://127\.0\.0\.1:(\d+)", line):
                yield process, int(found[1])
                break
        else:
            raise RuntimeError("the front door did not start")
