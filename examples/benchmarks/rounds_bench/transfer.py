"""A choice learned with one machine's costs, played with another's, against one learned there."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from bandits import LinUCB
from rounds_bench.setting import Setting
from speculative.measuring.cost_profile import CostProfile
from speculative.rounds import (
    RoundPolicySelector,
    SpeedSelector,
    TrainingSettings,
    fit_speed_selector,
    layout_of,
    round_data,
    tuned,
)

BATCHES = (4, 8)
N_WIDE = 17


def profiles(costs: CostProfile) -> dict[str, CostProfile]:
    """Return what is derived from a measured profile: other machines and loads."""
    narrow = _scaled(costs, lambda m: 2.0 * (1 + 0.15 * (m - 1)), draft=2.0)
    found = {
        "each more row of a pass 15 % dearer, all twice as slow": narrow,
        "draft models three times as dear": _scaled(costs, lambda m: 1.0, draft=3.0),
    }
    return found | {f"batch {n}": _batch(costs, n) for n in BATCHES}


def transfer(setting: Setting, speed: SpeedSelector, settings: TrainingSettings) -> list[dict[str, object]]:
    """Return, for each profile, how much slower what was learned elsewhere is than what is learned there."""
    rows: list[dict[str, object]] = []
    here = _model_free(setting, speed.rate, settings)
    for name, costs in profiles(setting.costs).items():
        there = replace(setting, costs=costs)
        refitted = fit_speed_selector(setting.train, setting.arms, costs, settings)
        moved = speed.with_changes(costs)
        best = there.seconds(refitted).sum()
        free, own = there.seconds(here).sum(), there.seconds(_model_free(there, refitted.rate, settings)).sum()
        rows.append(
            {
                "profile": name,
                "profile_exchanged": float(there.seconds(moved).sum() / best - 1),
                "rate_found_anew": float(there.seconds(tuned(moved, setting.train, costs, settings)).sum() / best - 1),
                "model_free_moved": float(free / own - 1),
                "refitted_over_fixed": float(_best_fixed_s(there) / best),
            }
        )
    return rows


def _model_free(setting: Setting, rate: float, settings: TrainingSettings) -> RoundPolicySelector:
    """Fit a policy on rewards in which tokens and seconds are one number."""
    layout = layout_of(setting.train, setting.arms, settings)
    data = round_data(setting.train, setting.arms, setting.costs, rate=rate, layout=layout, settings=settings)
    return RoundPolicySelector(LinUCB(ucb_width=0.0).fit(data), layout, np.random.default_rng(settings.seed))


def _best_fixed_s(setting: Setting) -> float:
    from speculative.collection.replay import Replayer

    sides = [[Replayer(trace, setting.costs) for trace in side] for side in (setting.train, setting.test)]
    plans = list(setting.arms.values())
    totals = [[sum(one.play(plan).seconds for one in side) for plan in plans] for side in sides]
    return totals[1][int(np.argmin(totals[0]))]


def _scaled(costs: CostProfile, factor: Callable[[int], float], draft: float) -> CostProfile:
    """Return a profile whose passes over m tokens take factor(m) times as long, and whose models take `draft` times."""
    grid = tuple(
        tuple(cell * factor(m) for m, cell in zip(costs.widths, row, strict=True)) for row in costs.verify_grid
    )
    prefill = tuple(cell * factor(1) for cell in costs.prefill_grid)
    drafts = {
        name: replace(
            one,
            round_s=one.round_s * (draft if one.read_s > 1e-5 else 1.0),
            token_s=one.token_s * draft,
            read_s=one.read_s * (draft if one.read_s > 1e-5 else 1.0),
        )
        for name, one in costs.drafts.items()
    }
    return replace(costs, verify_grid=grid, prefill_grid=prefill, drafts=drafts)


def _batch(costs: CostProfile, n: int) -> CostProfile:
    """Return each request's share where n of them share every pass; drafts work one request after the other."""
    widths = tuple(range(1, N_WIDE))
    lengths: Sequence[int] = costs.cache_lengths
    grid = tuple(tuple(costs.verify_s(n * m, length) / n for m in widths) for length in lengths)
    return replace(costs, widths=widths, verify_grid=grid, noise_grid=())
