"""`draftpick demo`."""

import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from speculative.cli import options


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = Path("demo_report"),
    full: Annotated[bool, typer.Option("--full", help="The long version: more prompts and tokens.")] = False,
    pool: Annotated[
        Path | None, typer.Option("--pool", help="Another pool file than the demo's own.", metavar="POOL.toml")
    ] = None,
    seed: options.SeedOption = 0,
    threads: options.ThreadsOption = None,
    device: options.DeviceOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Show on real models whether a learned policy is faster: collect, learn, evaluate, check by the clock.

    Writes a report with table and plots; a stopped demo goes on where it was.
    """
    options.start_torch(threads)
    from speculative.demo.demo import run_demo

    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        run_demo(out, full=full, seed=seed, pool_file=pool, device=device)
    if as_json:
        typer.echo((out / "report.json").read_text(encoding="utf-8"))
