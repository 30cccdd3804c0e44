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
    data: Annotated[
        Path | None,
        typer.Argument(
            help="With --suggest: a folder that collect wrote with this pool for training prompts, in which rules over "
            "the pool's arms are searched, and by which arithmetics are priced."
        ),
    ] = None,
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
    graphs: options.GraphsOption = None,
    suggest: Annotated[
        bool,
        typer.Option(
            "--suggest",
            help="Instead, measure target and draft models in each arithmetic that this machine has (with --dtype or "
            "--weights in those of the target), and propose the fastest; with DATA also rules and the arms worth "
            "keeping.",
        ),
    ] = False,
    acceptance: Annotated[
        float | None,
        typer.Option(
            "--acceptance",
            help="With --suggest and no DATA: probability that a draft token is accepted; 0.7 by default.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --suggest: write the pool file as proposed there.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Measure what a pass of the target and a round of each draft cost on this machine, and judge each arm.

    Stored for this machine, target and number of threads, and measured anew when a month old or noisy.
    """
    for name, value in (("DATA", data), ("--acceptance", acceptance), ("--out", out)):
        if value is not None and not suggest:
            raise ValueError(f"{name} goes with --suggest, got {value} without it")
    options.start_torch(threads)
    if suggest:
        from speculative.cli.suggest import Asked, suggest_pool

        suggest_pool(Asked(pool, device, dtype, weights, graphs, data, acceptance, out, cache), as_json)
        return
    loaded = options.open_pool(
        options.read_spec(pool, device=device, dtype=dtype, weights=weights, graphs=graphs), cache
    )
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
