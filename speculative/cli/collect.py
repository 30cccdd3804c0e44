"""`draftpick collect`."""

from pathlib import Path
from typing import Annotated

import typer

from speculative.cli import options
from speculative.cli.progress import progress


def collect(
    prompts: Annotated[Path, typer.Argument(help="JSONL: prompt or messages; optional id, domain, max_new_tokens.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the data; a stopped run goes on there.")],
    pool: options.PoolOption = options.DEFAULT_POOL,
    own_texts: Annotated[
        bool, typer.Option("--own-texts", help="Let each draft answer alone too, for the reward rouge_l.")
    ] = False,
    cache: options.CacheOption = None,
    threads: options.ThreadsOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
    weights: options.WeightsOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Run the target once on each prompt and store what every arm of the pool would have brought.

    The target writes greedily, so nothing is random. Work is written part by part: run the same command again
    to go on where it was stopped.
    """
    from arms import read_queries

    queries = read_queries(prompts)
    options.start_torch(threads)
    from speculative.collection.collect import collect as run

    loaded = options.open_pool(pool, cache, device=device, dtype=dtype, weights=weights)
    costs = options.pool_costs(loaded, cache)
    with progress("collecting", len(queries)) as advance:
        data = run(queries, loaded.arms, loaded.encoder, out, costs, own_texts=own_texts, on_progress=advance)
    means = dict(zip(data.arm_names, data.rewards.mean(axis=0).tolist(), strict=True))
    lines = [f"{len(data)} queries in {out}; mean speedup over no draft:"]
    lines += [f"  {name:<24} {value:.3f}" for name, value in means.items()]
    result = {"folder": str(out), "n_queries": len(data), "encoder": data.encoder, "mean_speedup": means}
    options.report(result, "\n".join(lines), as_json)
