"""Whether costs, and the weights that price them, seem to be in one unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.checks import Float64
from bandits.data.array_data import Data
from bandits.data.logged_data import LoggedData

_SPAN = 10_000.0  # between the 1st and the 99th percentile of what one arm costs; tokens of a query span hundreds
_FAR = 1_000.0  # times that priced costs spread as far as rewards do, or the other way round


def notes_on_units(data: Data, cost_weights: Sequence[float] = ()) -> tuple[str, ...]:
    """Return warnings where costs of one arm, or costs times weight beside rewards, look like figures of two units.

    Args:
        data: rewards as they are, not net of costs.
        cost_weights: in units of reward a unit of cost; a warning if all that are above 0 are too large, or too small.
    """
    if data.costs is None:
        return ()
    return (*_of_arms(data), *_of_weights(data, [weight for weight in cost_weights if weight > 0]))


def _of_arms(data: Data) -> list[str]:
    said = []
    for place, name in enumerate(data.arm_names):
        costs = _costs_of(data, place)
        costs = costs[costs > 0]
        if len(costs) == 0:
            continue
        low, high = np.quantile(costs, [0.01, 0.99], method="nearest").tolist()
        if high > _SPAN * low:
            said.append(
                f"WARNING: costs of arm {name!r} lie between {low:.3g} and {high:.3g} (1st and 99th percentile): if "
                "some are in another unit, bring all to one"
            )
    return said


def _of_weights(data: Data, weights: Sequence[float]) -> list[str]:
    everything = np.concatenate([_costs_of(data, place) for place in range(data.n_arms)])
    costs, rewards = float(np.ptp(everything)), float(np.nanmax(data.rewards) - np.nanmin(data.rewards))
    if not weights or costs == 0 or rewards == 0:
        return []
    shares = [weight * costs / rewards for weight in weights]
    if min(shares) > _FAR:
        nearest, share, decides = min(weights), min(shares), "price alone decides"
    elif max(shares) < 1 / _FAR:
        nearest, share, decides = max(weights), max(shares), "price decides nothing"
    else:
        return []
    return [
        f"WARNING: at cost_weight {nearest:g} costs, which differ by up to {costs:.3g}, count for {share:.3g} times "
        f"what rewards differ by ({rewards:.3g}), so {decides}: a weight is in units of reward a unit of cost, as "
        "the data give it"
    ]


def _costs_of(data: Data, place: int) -> Float64:
    """Return the known costs of an arm, (m,) float64."""
    assert data.costs is not None
    if isinstance(data, LoggedData):
        return np.asarray(data.costs[data.actions == place])
    costs = data.costs[:, place]
    return np.asarray(costs[~np.isnan(costs)])
