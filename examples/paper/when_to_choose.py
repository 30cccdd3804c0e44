"""When to choose: per query from offline labels or from nothing, at every round from nothing or learned beforehand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from paper_parts.choosing import DOMAIN, FIXED, LEARNED, ORACLE, Asked, Choices, choices_of, learners, times_as_fast
from paper_parts.round_choice import (
    GATED,
    PRIOR,
    PUBLISHED,
    RIDGE,
    SPEED,
    baseline_selectors,
    learned_selectors,
    played_s,
)
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored
from paper_parts.targets import NO_DRAFT

from bandits import UCB1, Estimate, FullInformationData, simulate
from bandits.checks import Float64
from bandits.evaluation.canvas import curves, interval_bars
from bandits.simulation.environments import FullInformationEnvironment
from bandits.simulation.simulation import Simulation
from speculative.rounds import clairvoyant_s

CLAIRVOYANT, NO_CONTEXTS = "clairvoyant per round", "UCB1, no contexts"
OFFLINE, ONLINE = "per query, offline", "per query, online"
FROM_NOTHING, BEFOREHAND, COMPARED = "per round, from nothing", "per round, learned", "for comparison"


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("when_to_choose", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Put every moment of choice beside the best fixed arm and hindsight, on the same held-out queries."""
    choices = choices_of(stored, Asked(stored.target.full), options.seeds)
    fixed, plain = choices.seconds[FIXED], choices.seconds[NO_DRAFT]
    rows: list[dict[str, object]] = [
        {
            "when": when,
            "name": name,
            f"times {FIXED}": times_as_fast(seconds, fixed),
            f"times {NO_DRAFT}": times_as_fast(seconds, plain),
        }
        for when, members in _moments(stored, choices).items()
        for name, seconds in members.items()
    ]
    online, simulation = _online(stored, options.seeds)
    rows[len(LEARNED) : len(LEARNED)] = online
    return Found(rows, _answer(rows), lambda path: _plot(rows, simulation, path))


def _moments(stored: Stored, choices: Choices) -> dict[str, Mapping[str, Float64]]:
    """Return held-out seconds of each choice, by when it is made and by its name."""
    plans, costs = [stored.plan(arm) for arm in stored.target.full], stored.costs
    hindsight = np.array([[clairvoyant_s(plans, trace, costs) for trace in stored.sides["test"].traces]])
    selectors = baseline_selectors(stored) | learned_selectors(stored)
    played = {name: played_s(stored, name, one, "test")[None] for name, one in selectors.items()}
    return {
        OFFLINE: {name: choices.seconds[name] for name in LEARNED},
        FROM_NOTHING: {name: played[name] for name in PUBLISHED},
        BEFOREHAND: {name: played[name] for name in played if name not in PUBLISHED},
        COMPARED: {DOMAIN: choices.seconds[DOMAIN], ORACLE: choices.seconds[ORACLE], CLAIRVOYANT: hindsight},
    }


def _answer(rows: Sequence[Mapping[str, object]]) -> str:
    values = {str(row["name"]): row[f"times {FIXED}"] for row in rows}
    best = {}
    for when in (OFFLINE, ONLINE, FROM_NOTHING):
        own = [row for row in rows if row["when"] == when]
        name = max((str(row["name"]) for row in own), key=lambda name: values[name].value)  # type: ignore[attr-defined]
        best[when] = f"{values[name]:.3f} ({name.removesuffix(', online')})"
    return (
        f"Times the best fixed arm: once a query at best {best[OFFLINE]} from offline labels, {best[ONLINE]} from "
        f"nothing; at every round at best {best[FROM_NOTHING]} from nothing, and learned beforehand "
        f"{values[SPEED]:.3f} without the prompt, {values[PRIOR]:.3f} with it, {values[GATED]:.3f} gated by it, "
        f"{values[RIDGE]:.3f} by LinUCB; in hindsight {values[ORACLE]:.3f} per query, {values[CLAIRVOYANT]:.3f} per "
        "round."
    )


def _online(stored: Stored, seeds: Sequence[int]) -> tuple[list[dict[str, object]], Simulation]:
    """Let policies learn from their own choices over all queries once, in an order for each seed."""
    sides = [stored.data(side, stored.target.full) for side in ("train", "test")]
    data = FullInformationData.concat(sides)
    policies = {"LinUCB": learners(0)["LinUCB"], "LinTS": learners(0)["LinTS"], NO_CONTEXTS: UCB1()}
    encode_s = float(sum(stored.encode_s(side).sum() for side in ("train", "test")))
    found = simulate(policies, FullInformationEnvironment(data), len(data), list(seeds))
    plain = float(data.costs[:, data.arm_names.index(NO_DRAFT)].sum())
    best = float(data.costs.sum(axis=0).min())
    rows: list[dict[str, object]] = []
    for row in found.rows:
        own_s = 0.0 if row.name == NO_CONTEXTS else encode_s
        taken = [plain - len(data) * one + own_s for one in (row.value, row.high, row.low)]
        speeds = [Estimate(total / taken[0], total / taken[2], total / taken[1]) for total in (best, plain)]
        when = {"when": ONLINE, "name": f"{row.name}, online"}
        rows.append({**when, f"times {FIXED}": speeds[0], f"times {NO_DRAFT}": speeds[1]})
    return rows, found


def _plot(rows: Sequence[Mapping[str, object]], simulation: Simulation, path: Path) -> None:
    shown = {f"{row['when']}: {row['name']}".removesuffix(", online"): row[f"times {FIXED}"] for row in rows}
    x_label = "times as fast as the best fixed arm"
    interval_bars(path, shown, title="When to choose", x_label=x_label, line=1.0)  # type: ignore[arg-type]
    lost = {row.name: (simulation.decisions, row.regret_curve()) for row in simulation.rows}
    curves(
        path.with_name(f"{path.stem}_regret.png"),
        lost,
        title="Learning from its own choices",
        x_label="queries",
        y_label="seconds lost against the best arm of each query",
    )


if __name__ == "__main__":
    main()
