"""`draftpick collect`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from arms.input_file import read_text
from speculative.cli import options
from speculative.cli.progress import progress

if TYPE_CHECKING:
    from bandits import FullInformationData
    from speculative.collection.label_cost import LabelSeconds


def collect(
    prompts: Annotated[Path, typer.Argument(help="JSONL: prompt or messages; optional id, domain, max_new_tokens.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the data; a stopped run goes on there.")],
    pool: options.PoolOption = options.DEFAULT_POOL,
    own_texts: Annotated[
        bool,
        typer.Option(
            "--own-texts",
            help="Let each draft model answer alone too, for rewards that compare texts; a finished folder gets them "
            "added.",
        ),
    ] = False,
    overlaps: Annotated[
        bool,
        typer.Option(
            "--overlaps",
            help="Compare each draft's distribution with the target's at every token, for rewards of sampled texts.",
        ),
    ] = False,
    too_long: Annotated[
        Literal["refuse", "truncate", "skip"],
        typer.Option(
            "--too-long",
            help="A prompt that does not fit the target's context with its answer: refuse it before anything is "
            "generated, truncate it to its last tokens, or skip its query.",
        ),
    ] = "refuse",
    recost: Annotated[
        bool, typer.Option("--recost", help="Price what was collected anew, with this machine's costs as they are now.")
    ] = False,
    allow_noisy_costs: options.NoisyCostsOption = False,
    executor: Annotated[
        str,
        typer.Option(
            "--executor",
            help="Where the workers are: processes, serial, ray for Ray on this machine, or ray://host:port.",
            metavar="NAME",
        ),
    ] = "processes",
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            help="Workers, each with models of its own and --threads; one by default, with Ray one a processor.",
        ),
    ] = None,
    cache: options.CacheOption = None,
    threads: options.ThreadsOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
    weights: options.WeightsOption = None,
    graphs: options.GraphsOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Run the target once on each prompt and store what every arm of the pool would have brought.

    The target writes greedily, so nothing is random but the measured costs, which are kept beside the data and used
    again there. Work is written part by part: run the same command again to go on where it was stopped.
    """
    from arms import read_queries

    queries = read_queries(prompts)
    options.start_torch(threads)
    from speculative.collection.collect import collect as run
    from speculative.collection.label_cost import label_seconds
    from speculative.collection.priced_folder import stored_costs
    from speculative.collection.recost import recost as price_anew
    from speculative.collection.settings import CollectSettings

    settings = CollectSettings(
        own_texts=own_texts,
        overlaps=overlaps,
        allow_noisy_costs=allow_noisy_costs,
        too_long=too_long,
        executor=options.workers(executor, jobs),
        threads=threads,
    )
    loaded = options.open_pool(
        options.read_spec(pool, device=device, dtype=dtype, weights=weights, graphs=graphs), cache
    )
    costs = stored_costs(out) or options.pool_costs(loaded, cache)
    options.tell_drift(loaded, costs)
    with progress("collecting", len(queries) * (2 if own_texts else 1)) as advance:
        data = run(
            queries,
            loaded,
            out,
            costs,
            settings=settings,
            on_progress=advance,
        )
    options.tell_drift(loaded, costs)
    _tell_too_long(out, too_long, len(queries))
    if recost:
        costs = options.pool_costs(loaded, cache, refresh=True)
        data = price_anew(out, costs, allow_noisy_costs=allow_noisy_costs)
    speeds = _speeds(data, next(arm.name for arm in loaded.arms if not arm.draft_length))
    lines = [f"{len(data)} queries in {out}; times as fast as no draft, by total seconds:"]
    lines += [f"  {name:<24} {value:.3f}" for name, value in speeds.items()]
    labels = label_seconds(out)
    lines += [_told(name, seconds) for name, seconds in labels.items() if seconds.own is not None]
    result = {"folder": str(out), "n_queries": len(data), "encoder": data.encoder, "speed": speeds}
    result["costs"] = {
        "digest": costs.digest,
        "machine": costs.machine,
        "threads": costs.threads,
        "noise": costs.spread,
    }
    result["label_seconds"] = {name: {"traced": one.traced, "own": one.own} for name, one in labels.items()}
    options.report(result, "\n".join(lines), as_json)


def _told(draft: str, seconds: "LabelSeconds") -> str:
    return (
        f"labels of {draft}: {seconds.traced:.4f} s a query by tracing, {seconds.own:.4f} s by its own text, "
        f"{seconds.ratio:.1f} times as long"
    )


def _tell_too_long(folder: Path, too_long: str, n_queries: int) -> None:
    """Name on standard error the queries whose prompts were cut or left out."""
    asked = json.loads(read_text(folder / "collect.json"))["too_long"]
    ids = asked.get(too_long) or ()
    if ids:
        done = {"truncate": "cut to their last tokens", "skip": "skipped"}[too_long]
        shown = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
        options.say(f"warning: {len(ids)} of {n_queries} prompts do not fit and were {done}: {shown}")


def _speeds(data: "FullInformationData", plain: str) -> dict[str, float]:
    """Return the total seconds of the arm `plain` over each arm's."""
    seconds = dict.fromkeys(data.arm_names, 0.0)
    for observation in data.known_observations():
        seconds[observation.arm] += observation.seconds
    return {name: seconds[plain] / total for name, total in seconds.items()}
