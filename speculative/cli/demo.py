"""`draftpick demo`."""

from pathlib import Path
from typing import Annotated

import typer

from speculative.cli import options
from speculative.cli.progress import stages


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = Path("demo_report"),
    full: Annotated[bool, typer.Option("--full", help="Every prompt, longer answers, no time limit.")] = False,
    minutes: Annotated[
        float, typer.Option("--minutes", min=1.0, help="Time for everything after the models are loaded.")
    ] = 10.0,
    pool: Annotated[
        Path | None, typer.Option("--pool", help="Another pool file than the demo's own.", metavar="POOL.toml")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="JSONL of other prompts than the demo's own.", metavar="JSONL")
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option("--held-out", help="JSONL of prompts to test on; else half of --prompts.", metavar="JSONL"),
    ] = None,
    seed: options.SeedOption = 0,
    allow_noisy_costs: options.NoisyCostsOption = False,
    threads: options.ThreadsOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
    weights: options.WeightsOption = None,
    graphs: options.GraphsOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Show on real models whether a learned policy is faster: collect, learn, evaluate, measure.

    The machine is measured first, and as many prompts and tokens are taken as end in time. Writes a report with
    table and plots; a stopped demo goes on where it was.
    """
    if held_out is not None and prompts is None:
        raise ValueError("--held-out needs --prompts: the prompts to learn from")
    options.start_torch(threads)
    from rich.console import Console

    from speculative.demo.demo import DEMO_POOL, DemoSettings, run_demo
    from speculative.demo.page import show_report
    from speculative.demo.queries import own_queries

    settings = DemoSettings(
        seconds=None if full else 60 * minutes,
        seed=seed,
        queries=None if prompts is None else own_queries(prompts, held_out),
        allow_noisy_costs=allow_noisy_costs,
    )
    spec = options.read_spec(pool or DEMO_POOL, device=device, dtype=dtype, weights=weights, graphs=graphs)
    with stages() as notify:
        report = run_demo(out, spec, settings, on_progress=notify)
    if as_json:
        typer.echo((out / "report.json").read_text(encoding="utf-8"))
    else:
        show_report(report, Console())
        typer.echo(f"report: {out / 'report.md'}, figures: {out / 'report.json'}, plots beside them")
