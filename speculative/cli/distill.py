"""`draftpick distill`."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from speculative.cli import options
from speculative.cli.progress import busy, stages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from speculative.distillation.agreement import MatchRate
    from speculative.distillation.training import DistillSettings
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
    domains: Annotated[
        str | None,
        typer.Option(
            "--domains",
            help="Domains of the prompts, separated by commas: a draft for each, in OUT/NAME; generalist is one for "
            "all of them, from which heads for single domains go on, generalist_25 one from 25 % of their texts. The "
            "target's texts are written once.",
            metavar="NAMES",
        ),
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", min=1, help="Length of the target's texts.")
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the target's texts.")] = 5,
    vocabulary: Annotated[
        int | None,
        typer.Option(
            "--vocabulary", min=2, help="Most tokens that the draft knows; by default 4096, and 8192 for a head."
        ),
    ] = None,
    units: Annotated[
        int | None,
        typer.Option("--units", min=1, help="Units of a head's feed-forward; by default the target's."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--start", help="Folder of an earlier head of the target, from which a head goes on.", metavar="HEAD"
        ),
    ] = None,
    seed: options.SeedOption = 0,
    dtype: options.DtypeOption = None,
    weights: options.WeightsOption = None,
    cache: options.CacheOption = None,
    threads: options.ThreadsOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Train small drafts for a target, for one domain or several, from the target's own text.

    A stopped run goes on where it was when it is run again; its work lies beside the drafts in OUT.work.
    """
    from arms import read_queries

    if (pool is None) == (target is None):
        raise ValueError("give exactly one of --pool and --target")
    _check_head_options(kind, start, vocabulary, units)
    train_queries, held_out_queries = read_queries(prompts), read_queries(held_out)
    options.start_torch(threads)
    from speculative.distillation.distill import distill as run
    from speculative.distillation.distill import distill_domains

    loaded = _target(pool, target, max_new_tokens, (dtype, weights), cache)
    settings = _of_head(_settings(kind, loaded, epochs, vocabulary, seed), start, units)
    with stages() as notify:
        if domains is not None:
            names = [name.strip() for name in domains.split(",")]
            sides = train_queries, held_out_queries
            _report_domains(out, distill_domains(loaded, sides, out, names, settings, notify), as_json)
            return
        rate = run(loaded, train_queries, held_out_queries, out, settings, on_progress=notify)
    text = (
        f"{out} predicts {rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}] of the target's next tokens on "
        f"{rate.n_texts} held-out texts: {rate.tokens_per_round:.2f} tokens a round at draft length 4"
    )
    options.report({"folder": str(out), **asdict(rate)}, options.wrapped([text]), as_json)


def _check_head_options(kind: str, start: Path | None, vocabulary: int | None, units: int | None) -> None:
    """Raise an error where options are given that a draft of this kind, or an earlier head, leaves no room for."""
    for name, value, use in (("--start", start, "names a head to go on from"), ("--units", units, "sizes a head")):
        if value is not None and kind != "feature_head":
            raise ValueError(f"{name} {use}: give --kind feature_head too")
    for name, value, own in (("--vocabulary", vocabulary, "vocabulary"), ("--units", units, "size")):
        if start is not None and value is not None:
            raise ValueError(f"--start goes on with that head's own {own}: leave {name} out")


def _settings(kind: str, target: "Target", n_epochs: int, n_vocab: int | None, seed: int) -> "DistillSettings":
    """Return the settings of a kind; products are computed in bfloat16 where the target's are."""
    from speculative.distillation.head_training import HeadSettings
    from speculative.distillation.training import DistillSettings

    chosen = HeadSettings if kind == "feature_head" else DistillSettings
    dtype: Literal["float32", "bfloat16"] = "bfloat16" if str(target.model.dtype) == "torch.bfloat16" else "float32"
    return chosen(n_epochs=n_epochs, n_vocab=n_vocab or chosen().n_vocab, seed=seed, dtype=dtype)


def _of_head(settings: "DistillSettings", start: Path | None, units: int | None) -> "DistillSettings":
    """Return the settings with what only a head has."""
    from speculative.distillation.head_training import HeadSettings

    if not isinstance(settings, HeadSettings):
        return settings
    return replace(settings, n_intermediate=units, start=None if start is None else str(start))


def _report_domains(out: Path, made: "Mapping[str, Mapping[str, MatchRate]]", as_json: bool) -> None:
    """Print a line a draft and domain: the share of the target's tokens that it predicts, and tokens a round."""
    lines = [
        f"shares of the target's next tokens predicted on held-out texts, tokens a round at draft length 4; in {out}:"
    ]
    for draft, rates in made.items():
        for domain, rate in rates.items():
            share = f"{rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}]"
            lines.append(
                f"{draft} on {domain}: {share}, {rate.tokens_per_round:.2f} tokens a round, {rate.n_texts} texts"
            )
    found = {draft: {domain: asdict(rate) for domain, rate in rates.items()} for draft, rates in made.items()}
    options.report({"folder": str(out), "drafts": found}, "\n".join(lines), as_json)


def _target(
    pool: Path | None,
    name: str | None,
    max_new_tokens: int | None,
    form: tuple[options.Dtype | None, options.Weights | None],
    cache: Path | None,
) -> "Target":
    """Load the target alone; dtype and weights are the pool file's by default, or float32 and dense."""
    from speculative.models.settings import ModelSettings, dtype_of
    from speculative.pools.pool import load_target
    from speculative.targets.target import Target

    folder, (dtype, weights) = options.cache_folder(cache), form
    with busy("loading the target"):
        if pool is not None:
            target = load_target(options.read_spec(pool, dtype=dtype, weights=weights), folder)
        else:
            settings = ModelSettings(dtype=dtype_of(dtype or "float32"), weights=weights or "dense", cache=folder)
            target = Target.load(name or "", settings)
    return target if max_new_tokens is None else replace(target, max_new_tokens=max_new_tokens)
