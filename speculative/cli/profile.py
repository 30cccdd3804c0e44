"""`draftpick profile`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speculative.cli import options

if TYPE_CHECKING:
    from speculative.measuring.cost_profile import CostProfile
    from speculative.models.kernels.plan import KernelPlan
    from speculative.pools.pool import Pool


def profile(
    pool: options.PoolOption = options.DEFAULT_POOL,
    refresh: Annotated[bool, typer.Option("--refresh", help="Measure anew, whatever is stored.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look: a sixth of the passes; used for nothing else and not stored.")
    ] = False,
    cache: options.CacheOption = None,
    threads: options.ThreadsOption = None,
    device: options.DeviceOption = None,
    dtype: options.DtypeOption = None,
    weights: options.WeightsOption = None,
    suggest: Annotated[
        Path | None,
        typer.Option(
            "--suggest",
            help="Instead, propose rules over the pool's arms, and the arms worth keeping, from data that collect "
            "wrote for training prompts: entries for the pool file.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --suggest: write the pool file with these arms and rules there.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Measure what a pass of the target and a round of each draft cost on this machine, and judge each arm.

    Stored for this machine, target and number of threads, and measured anew when a month old or noisy.
    """
    if out is not None and suggest is None:
        raise ValueError("--out goes with --suggest DATA, which finds what to write")
    options.start_torch(threads)
    loaded = options.open_pool(options.read_spec(pool, device=device, dtype=dtype, weights=weights), cache)
    if suggest is not None:
        from speculative.cli.suggest import suggest_pool

        suggest_pool(pool, loaded, suggest, out, as_json)
        return
    costs = options.quick_costs(loaded) if quick else options.pool_costs(loaded, cache, refresh)
    conclusions = {
        arm.name: costs.conclusion(arm.draft.name, arm.draft_length) for arm in loaded.fixed_arms if arm.draft_length
    }
    plan = _plan_of(loaded)
    result = {**json.loads(costs.to_json()), "plan": json.loads(plan.to_json()) if plan else None}
    result["conclusions"] = conclusions
    options.report(result, _text(loaded, costs, list(conclusions.values())), as_json)


def _plan_of(pool: "Pool") -> "KernelPlan | None":
    """Return how the target computes, where that is chosen: in draftpick's own decoder."""
    from speculative.models.decoder import Decoder

    return pool.target.model.plan if isinstance(pool.target.model, Decoder) else None


def _plan_lines(pool: "Pool") -> list[str]:
    """Say which kernels the target uses, and what they were measured to take."""
    plan, model = _plan_of(pool), pool.target.model
    if plan is None:
        return [f"computed by {model.arithmetic}"]
    dtype = str(model.dtype).removeprefix("torch.")
    lines = [f"computed in {dtype} by {model.arithmetic}"]
    if not plan.measured:
        return [*lines, "kernels not measured: a small model, a card, or measuring is off"]
    lines.append("milliseconds of one layer's products by rows and form (chosen from these)")
    lines.append(f"{'rows':>20}" + "".join(f"{rows:>9}" for rows in plan.measured[0].rows))
    for form in plan.measured:
        lines.append(f"{form.form:>20}" + "".join(f"{seconds * 1000:>9.3f}" for seconds in form.seconds))
    return lines


def _text(pool: "Pool", costs: "CostProfile", conclusions: list[str]) -> str:
    lines = _plan_lines(pool)
    lines += [f"{pool.target.name}: milliseconds of a pass over m tokens against L cached ones"]
    lines.append("     m" + "".join(f"{f'L={length}':>9}" for length in costs.cache_lengths))
    for width, column in zip(costs.widths, zip(*costs.verify_grid, strict=True), strict=True):
        lines.append(f"{width:>6}" + "".join(f"{seconds * 1000:>9.2f}" for seconds in column))
    prefills = zip(costs.prefill_widths, costs.prefill_grid, strict=True)
    lines.append("prefill: " + ", ".join(f"{width} tokens {s * 1000:.1f} ms" for width, s in prefills))
    for draft in pool.drafts:
        cost = costs.drafts[draft.name]
        lines.append(
            f"{draft.name}: {cost.round_s * 1000:.3f} ms a round, {cost.token_s * 1000:.3f} ms a draft token, "
            f"{cost.read_s * 1000:.4f} ms a prompt token"
        )
    noisiest = max((noise for row in costs.noise_grid for noise in row), default=costs.spread)
    lines.append(
        f"noise: {costs.spread:.0%} of a median, {noisiest:.0%} in the noisiest cell; medians moved by up to "
        f"{costs.correction:.0%} to rise with the width; drift while measuring {costs.drift:.0%}"
    )
    return options.wrapped([*lines, *costs.faults(), *conclusions])
