"""`draftpick distill`."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from speculative.cli import options
from speculative.cli.progress import busy, stages

if TYPE_CHECKING:
    from speculative.targets.target import Target


def distill(
    prompts: Annotated[Path, typer.Argument(help="JSONL of training prompts of one domain.")],
    held_out: Annotated[Path, typer.Option("--held-out", help="JSONL of prompts to measure the draft on.")],
    out: Annotated[Path, typer.Option("--out", help="Folder that becomes the draft.")],
    pool: Annotated[
        Path | None, typer.Option("--pool", help="Pool file that names the target.", metavar="POOL.toml")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="The target: hub id, folder or GGUF file.", metavar="MODEL")
    ] = None,
    kind: Annotated[
        Literal["draft_model", "feature_head"],
        typer.Option("--kind", help="draft_model, a small language model, or feature_head, on the target's states."),
    ] = "draft_model",
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", min=1, help="Length of the target's texts.")
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the target's texts.")] = 5,
    vocabulary: Annotated[int, typer.Option("--vocabulary", min=2, help="Most tokens that the draft knows.")] = 4096,
    seed: options.SeedOption = 0,
    cache: options.CacheOption = None,
    threads: options.ThreadsOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Train a small draft for a target and a domain from the target's own text.

    A stopped run goes on where it was when it is run again; its work lies beside the draft in OUT.work.
    """
    from arms import read_queries

    if (pool is None) == (target is None):
        raise ValueError("give exactly one of --pool and --target")
    train_queries, held_out_queries = read_queries(prompts), read_queries(held_out)
    options.start_torch(threads)
    from speculative.distillation.distill import distill as run
    from speculative.distillation.training import DistillSettings

    settings = DistillSettings(kind=kind, n_epochs=epochs, n_vocab=vocabulary, seed=seed)
    loaded = _target(pool, target, max_new_tokens, cache)
    with stages() as notify:
        rate = run(loaded, train_queries, held_out_queries, out, settings, on_progress=notify)
    text = (
        f"{out} predicts {rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}] of the target's next tokens on "
        f"{rate.n_texts} held-out texts: {rate.tokens_per_round:.2f} tokens a round at draft length 4"
    )
    options.report({"folder": str(out), **asdict(rate)}, options.wrapped([text]), as_json)


def _target(pool: Path | None, name: str | None, max_new_tokens: int | None, cache: Path | None) -> "Target":
    from speculative.models.settings import ModelSettings
    from speculative.pools.pool import load_target
    from speculative.pools.spec import read_pool_spec
    from speculative.targets.target import Target

    folder = options.cache_folder(cache)
    with busy("loading the target"):
        if pool is not None:
            target = load_target(read_pool_spec(pool), folder)
        else:
            target = Target.load(name or "", ModelSettings(cache=folder))
    return target if max_new_tokens is None else replace(target, max_new_tokens=max_new_tokens)
