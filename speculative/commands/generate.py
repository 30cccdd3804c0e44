"""`draftpick generate`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speculative.commands import options

if TYPE_CHECKING:
    from arms import Query
    from speculative.engine.selector import FixedSelector
    from speculative.policy_selector import PolicySelector
    from speculative.pool import Pool

_INCOMPLETE = "\ufffd"  # what an unfinished character decodes to


def generate(
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")],
    pool: options.PoolOption = options.DEFAULT_POOL,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Saved policy that picks the arm.", metavar="FILE")
    ] = None,
    arm: Annotated[str | None, typer.Option("--arm", help="Use this arm instead of a policy.")] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", min=1, help="Length of the answer; the pool's by default.")
    ] = None,
    seed: options.SeedOption = 0,
    cache: options.CacheOption = None,
    threads: options.ThreadsOption = None,
    device: options.DeviceOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Answer one prompt: the text on standard output as it grows; then, on standard error, what helped and why.

    Give --policy, or --arm to choose yourself. The text is the target's own greedy text either way.
    """
    from arms import Query

    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise ValueError("the prompt must not be blank")
    if (policy is None) == (arm is None):
        raise ValueError("give exactly one of --policy and --arm")
    options.start_torch(threads)
    loaded = options.open_pool(pool, cache, device)
    result = _answer(
        loaded,
        Query(id="prompt", prompt=text, max_new_tokens=max_new_tokens),
        _fixed(loaded, arm) if policy is None else _learned(loaded, policy, seed),
        quiet=as_json,
    )
    if as_json:
        options.report(result, "", as_json=True)
    else:
        options.say(_summary(result))


def _fixed(pool: "Pool", arm: str | None) -> "FixedSelector":
    from speculative.engine.selector import FixedSelector

    return FixedSelector(pool.arms.index(arm or ""))


def _learned(pool: "Pool", file: Path, seed: int) -> "PolicySelector":
    import numpy as np

    from bandits import load_policy
    from speculative.policy_selector import PolicySelector

    return PolicySelector(load_policy(file), pool.encoder, pool.arms.names, np.random.default_rng(seed))


def _answer(pool: "Pool", query: "Query", selector: "FixedSelector | PolicySelector", quiet: bool) -> dict[str, Any]:
    """Generate, showing the text as it grows, and account for it."""
    from speculative.engine.engine import Engine
    from speculative.engine.generate import stream
    from speculative.policy_selector import PolicySelector

    engine = Engine(pool.target.model, pool.drafting_arms, selector)
    tokens: list[int] = []
    shown = ""
    for new in stream(engine, pool.target.request(query)):
        tokens += new
        text = pool.target.text(tokens)
        if not quiet and not text.endswith(_INCOMPLETE):
            typer.echo(text[len(shown) :], nl=False)
            shown = text
    text = pool.target.text(tokens)
    if not quiet:
        typer.echo(text[len(shown) :])
    generation = engine.take(query.id)
    stats = generation.stats
    # Every round of a query goes to one arm; a text of one token has no round.
    picked = pool.arms.names[stats.actions[0]] if stats.actions else None
    result: dict[str, Any] = {"text": text, "finished": generation.finished, "arm": picked, "probabilities": None}
    if isinstance(selector, PolicySelector):
        result["arm"] = selector.decisions[query.id].arm
        result["probabilities"] = selector.probabilities(query.id)
    return result | {
        "n_tokens": stats.n_new,
        "n_rounds": stats.n_rounds,
        "acceptance_rate": stats.acceptance_rate if sum(stats.proposed) else None,
        "acceptance_length": stats.acceptance_length if stats.n_rounds else None,
        "seconds": stats.seconds,
        "select_seconds": stats.select_s,
        "tokens_per_second": stats.n_new / stats.seconds,
    }


def _summary(result: dict[str, Any]) -> str:
    lines = [f"arm: {result['arm']}"]
    if result["probabilities"] is not None:
        ranked = sorted(result["probabilities"].items(), key=lambda item: -item[1])
        lines[0] += ", picked with probability " + ", ".join(f"{name} {chance:.2f}" for name, chance in ranked)
    if result["acceptance_rate"] is not None:
        lines.append(
            f"accepted: {result['acceptance_rate']:.0%} of drafted tokens, "
            f"{result['acceptance_length']:.2f} tokens a round"
        )
    lines.append(
        f"speed: {result['n_tokens']} tokens in {result['seconds']:.2f} s "
        f"({result['tokens_per_second']:.1f} a second, choosing took {result['select_seconds'] * 1000:.1f} ms)"
    )
    return "\n".join(lines)
