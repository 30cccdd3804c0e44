"""`draftpick generate`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from arms import acceptance_length, acceptance_rate
from speculative.cli import options

if TYPE_CHECKING:
    from speculative.pools.pool import Pool
    from speculative.protocols.request import Generation, Request
    from speculative.protocols.selector import Selector
    from speculative.sampling.sampling_params import SamplingParams
    from speculative.selectors.policy_selector import PolicyChoice, PolicySelector

FAILED = 1


def generate(
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")],
    pool: options.PoolOption = options.DEFAULT_POOL,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Saved policy that picks the arm.", metavar="FILE")
    ] = None,
    arm: Annotated[str | None, typer.Option("--arm", help="Use this arm instead of a policy.")] = None,
    selector: Annotated[
        str | None,
        typer.Option(
            "--selector",
            help='Choose an arm at every round: meta_sd, ucb_spec, or your own as "package.module:Class".',
            metavar="KIND",
        ),
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", min=1, help="Length of the answer; the pool's by default.")
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option("--stop", help="End the text before this string; may be given more than once.", metavar="TEXT"),
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Sample: divide the logits by this; 0 takes the best token.")
    ] = 0.0,
    top_k: Annotated[int, typer.Option("--top-k", help="Sample among this many best tokens; 0 for all.")] = 0,
    top_p: Annotated[
        float, typer.Option("--top-p", help="Sample among the fewest tokens of this probability together.")
    ] = 1.0,
    min_p: Annotated[
        float,
        typer.Option("--min-p", help="Sample no token less likely than this share of the best one's probability."),
    ] = 0.0,
    repetition_penalty: Annotated[
        float, typer.Option("--repetition-penalty", help="Make tokens seen before less likely; 1 for no penalty.")
    ] = 1.0,
    verification: Annotated[
        str,
        typer.Option(
            "--verification",
            help="How sampled text is verified: coupling (the text does not depend on the drafts) or rejection.",
        ),
    ] = "coupling",
    sampling_seed: Annotated[
        int | None,
        typer.Option("--sampling-seed", help="Seed of a sampled text; a fresh one by default.", metavar="SEED"),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the policy's choice.")] = 0,
    cache: options.CacheOption = None,
    threads: options.ThreadsOption = None,
    device: options.DeviceOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Answer one prompt: the text on standard output as it grows; then, on standard error, what helped and why.

    Give --policy, or --arm to choose yourself, or a --selector. The text is the target's own either way: the most
    likely tokens, or, with a --temperature, tokens sampled from its probabilities.
    """
    from arms import Query
    from speculative.engine.text_stream import check_stop
    from speculative.sampling.sampling_params import SamplingParams

    text = _standard_input() if prompt == "-" else prompt
    if not text.strip():
        raise ValueError("the prompt must not be blank")
    if [policy, arm, selector].count(None) != 2:
        raise ValueError("give exactly one of --policy, --arm and --selector")
    rule = cast(Literal["coupling", "rejection"], verification)  # checked by the class
    sampling = SamplingParams(temperature, top_k, top_p, min_p, repetition_penalty, rule, sampling_seed)
    _refuse_idle_options(sampling)
    check_stop(stop or ())
    options.start_torch(threads)
    loaded = options.open_pool(pool, cache, device)
    query = Query(id="prompt", prompt=text, max_new_tokens=max_new_tokens)
    chosen: list[PolicyChoice] = []
    rounds = _selector(loaded, arm, selector) if policy is None else _learned(loaded, policy, seed, chosen)
    request = loaded.target.request(query, sampling, stop or ())
    result = _answer(loaded, request, rounds, quiet=as_json) | _choice(arm, chosen) | {"selector": selector}
    if as_json:
        options.report(result, "", as_json=True)
    else:
        options.say(_summary(result))
    if result["finished"] == "failed":
        raise typer.Exit(FAILED)


def _standard_input() -> str:
    """Read every byte as it is: a text stream would change the line ends."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the prompt on standard input must be UTF-8 text: {error}") from error


def _refuse_idle_options(sampling: "SamplingParams") -> None:
    """Refuse options of sampled text where none is sampled: they could only be a mistake."""
    default = type(sampling)()
    for name in ("top_k", "top_p", "min_p", "verification", "seed"):
        if sampling.greedy and getattr(sampling, name) != getattr(default, name):
            option = "--sampling-seed" if name == "seed" else "--" + name.replace("_", "-")
            raise ValueError(f"{option} changes sampled text only: give a --temperature above 0 with it, got 0")


def _selector(pool: "Pool", arm: str | None, kind: str | None) -> "Selector":
    """Make what was asked for by name: one arm always, or a rule that chooses at every round."""
    from speculative.selectors import FixedSelector, read_selector_spec

    if kind is None:
        return FixedSelector(pool.arms.index(arm or ""))
    return read_selector_spec(kind).build(list(pool.arms))


def _learned(pool: "Pool", file: Path, seed: int, chosen: "list[PolicyChoice]") -> "PolicySelector":
    import numpy as np

    from bandits import load_policy
    from speculative.selectors.policy_selector import PolicySelector

    rng = np.random.default_rng(seed)
    return PolicySelector(load_policy(file), pool.encoder, pool.arms.names, rng, on_finish=chosen.append)


def _choice(arm: str | None, chosen: "list[PolicyChoice]") -> dict[str, Any]:
    """Return the arm, and the distribution that a policy drew it from."""
    if not chosen:
        return {"arm": arm, "probabilities": None}
    [choice] = chosen
    return {"arm": choice.decision.arm, "probabilities": dict(choice.decision.probabilities)}


def _answer(pool: "Pool", request: "Request", selector: "Selector", quiet: bool) -> dict[str, Any]:
    """Generate, showing the text as it grows, and account for it."""
    from speculative.engine.generate import stream

    engine = pool.target.engine(pool.arms, selector, decode=True)
    for result in stream(engine, request):
        if not quiet and result.text:
            typer.echo(result.text, nl=False)
    if not quiet:
        typer.echo()
    generation = engine.take(request.id)
    return {"text": generation.text, "finished": generation.finished} | _account(generation)


def _account(generation: "Generation") -> dict[str, Any]:
    stats = generation.stats
    return {
        "seed": generation.seed,
        "n_tokens": stats.n_new,
        "n_rounds": stats.n_rounds,
        "acceptance_rate": acceptance_rate(stats.n_accepted, stats.n_proposed),
        "acceptance_length": acceptance_length(stats.n_accepted, stats.n_rounds),
        "n_caught_up": stats.n_caught_up,
        "faults": [asdict(fault) for fault in stats.faults],
        "seconds": stats.seconds,
        "select_seconds": stats.select_s,
        "catch_up_seconds": stats.catch_up_s,
        "tokens_per_second": stats.n_new / stats.seconds,
    }


def _summary(result: dict[str, Any]) -> str:
    lines = [f"arm: {result['arm'] or 'at every round as ' + result['selector'] + ' chose'}"]
    if result["probabilities"] is not None:
        ranked = sorted(result["probabilities"].items(), key=lambda item: -item[1])
        lines[0] += ", picked with probability " + ", ".join(f"{name} {chance:.2f}" for name, chance in ranked)
    if result["seed"] is not None:
        lines.append(f"sampled: --sampling-seed {result['seed']} gives this text again")
    if result["acceptance_rate"] is not None:
        lines.append(
            f"accepted: {result['acceptance_rate']:.0%} of drafted tokens, "
            f"{result['acceptance_length']:.2f} tokens a round"
        )
    if result["n_caught_up"]:
        milliseconds = result["catch_up_seconds"] * 1000
        lines.append(f"caught up: {result['n_caught_up']} tokens that a draft had missed, {milliseconds:.1f} ms")
    lines += [
        f"fault: draft {fault['draft']} was put aside in round {fault['round']} ({fault['reason']})"
        for fault in result["faults"]
    ]
    if result["finished"] == "failed":
        lines.append("failed: the target's logits were no numbers to choose by; the text ends there")
    lines.append(
        f"speed: {result['n_tokens']} tokens in {result['seconds']:.2f} s "
        f"({result['tokens_per_second']:.1f} a second, choosing took {result['select_seconds'] * 1000:.1f} ms)"
    )
    return "\n".join(lines)
