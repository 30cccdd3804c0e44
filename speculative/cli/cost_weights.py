"""`--cost-weight`: what one weight of the cost, or several, ask for."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from arms.atomic_file import write_file
from arms.named_call import listed
from speculative.cli import options

if TYPE_CHECKING:
    from bandits import ComparisonSettings, FullInformationData, LoggedData, Policy
    from bandits.evaluation import TradeOff


def weights_of(text: str | None) -> tuple[float, ...]:
    """Return the numbers of the option; none where it was not given.

    Raises:
        ValueError: if one is no number, or there is none.
    """
    if text is None:
        return ()
    rule = f"--cost-weight must be numbers separated by commas, got {text!r}"
    try:
        weights = tuple(float(word) for word in listed(text))
    except ValueError as error:
        raise ValueError(rule) from error
    if not weights:
        raise ValueError(rule)
    return weights


def trade_off_of(
    policies: "Mapping[str, Policy]",
    rows: "FullInformationData | LoggedData",
    weights: tuple[float, ...],
    n_seeds: int,
    settings: "ComparisonSettings",
) -> "TradeOff":
    """Return cost against quality of the policies that predict rewards; the others are named."""
    from bandits.evaluation import trade_off
    from bandits.policies import CostWeighted

    weighed, left = {}, []
    for name, policy in policies.items():
        try:
            CostWeighted(policy.clone())
            weighed[name] = policy
        except TypeError:
            left.append(name)
    if left:
        options.say(f"no weights of the cost for {', '.join(left)}: they predict no rewards")
    return trade_off(weighed, rows, weights, range(n_seeds), settings=settings)


def write_trade_off(result: "TradeOff", folder: Path, cost_unit: str | None) -> None:
    """Write trade_off.json and trade_off.md, and trade_off.png where matplotlib is installed."""
    result.save(folder / "trade_off.json")
    write_file(folder / "trade_off.md", f"{result.to_markdown()}\n{result.points_table().to_markdown()}")
    if importlib.util.find_spec("matplotlib") is not None:
        from bandits.evaluation.plots import plot_trade_off

        plot_trade_off(result, folder / "trade_off.png", cost_unit=cost_unit)
