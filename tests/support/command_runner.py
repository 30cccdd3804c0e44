"""Runs the command line in the test's own process, on a tiny pool."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from speculative.cli.main import app
from tests.support.tiny_pool import queries, save_pool, save_queries


@dataclass(frozen=True)
class Printed:
    """What a command printed, each byte of it: click's own result changes the line ends."""

    stdout: str
    stderr: str


def run_cli(*arguments: object, status: int = 0, text: str | bytes | None = None) -> Printed:
    """What a command prints, whose exit status must be the one given."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=text)
    assert result.exit_code == status, result.output + repr(result.exception)
    return Printed(result.stdout_bytes.decode(), result.stderr_bytes.decode())


def refused(*arguments: object) -> str:
    """The one line that a refusal prints."""
    result = run_cli(*arguments, status=2)
    assert result.stdout == ""
    *_, line = result.stderr.splitlines()
    assert line.startswith("error: "), result.stderr
    assert "Traceback" not in result.stderr
    return line


def pool_of(folder: Path) -> Sequence[Any]:
    """The options that name a folder's pool."""
    return "--pool", folder / "pool.toml", "--cache", folder / "cache"


def make_place(folder: Path) -> Path:
    """Put a pool, prompt files, collected data and a policy into a folder."""
    save_pool(folder)
    save_queries(folder / "train.jsonl", queries(20))
    save_queries(folder / "test.jsonl", queries(8, first=50))
    for side in ("train", "test"):
        run_cli("collect", folder / f"{side}.jsonl", *pool_of(folder), "--out", folder / side, "--own-texts")
    run_cli("train", folder / "train", "--out", folder / "lin_ucb.safetensors")
    return folder
