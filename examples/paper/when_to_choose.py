"""When to choose: per query from offline labels, online from nothing, at every round, and there with the prompt too."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from paper_parts.choosing import DOMAIN, FIXED, LEARNED, ORACLE, Asked, choices_of, learners, times_as_fast
from paper_parts.round_choice import GATED, PRIOR, SPEED, learned_selectors, played_s, published_selectors
from paper_parts.running import Found, Options, run
from paper_parts.stored import FULL, MAIN, NO_DRAFT, Stored

from bandits import UCB1, Estimate, FullInformationData, simulate
from bandits.checks import Float64
from bandits.evaluation.canvas import curves, interval_bars
from bandits.simulation.environments import FullInformationEnvironment
from bandits.simulation.simulation import Simulation
from speculative.rounds import clairvoyant_s

CLAIRVOYANT = "clairvoyant per round"
ONLINE = ("LinUCB", "LinTS")


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("when_to_choose", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Put every moment of choice beside the best fixed arm and hindsight, on the same held-out queries."""
    choices = choices_of(stored, Asked(FULL), options.seeds)
    fixed, plain = choices.seconds[FIXED], choices.seconds[NO_DRAFT]
    plans, costs = [stored.plan(arm) for arm in FULL], stored.profiles[MAIN]
    hindsight = np.array([[clairvoyant_s(plans, trace, costs) for trace in stored.sides["test"].traces]])
    groups: dict[str, Mapping[str, Float64]] = {
        "per query, offline": {name: choices.seconds[name] for name in LEARNED},
        "per round, from nothing": {
            name: played_s(stored, one, "test")[None] for name, one in published_selectors(stored).items()
        },
        "per round, learned": {
            name: played_s(stored, one, "test")[None] for name, one in learned_selectors(stored).items()
        },
        "hindsight": {DOMAIN: choices.seconds[DOMAIN], ORACLE: choices.seconds[ORACLE], CLAIRVOYANT: hindsight},
    }
    rows: list[dict[str, object]] = [
        {
            "when": when,
            "name": name,
            f"times {FIXED}": times_as_fast(seconds, fixed),
            f"times {NO_DRAFT}": times_as_fast(seconds, plain),
        }
        for when, members in groups.items()
        for name, seconds in members.items()
    ]
    online, simulation = _online(stored, options.seeds)
    rows[len(LEARNED) : len(LEARNED)] = online
    values = {str(row["name"]): row[f"times {FIXED}"] for row in rows}
    best = max(LEARNED, key=lambda name: values[name].value)  # type: ignore[attr-defined]
    answer = (
        f"Times the best fixed arm: per query from offline labels {values[best]:.3f} ({best}); online from nothing "
        f"{values['LinUCB, online']:.3f} (LinUCB); per round without the prompt {values[SPEED]:.3f}, with it "
        f"{values[PRIOR]:.3f}, gated by it {values[GATED]:.3f}; in hindsight per query {values[ORACLE]:.3f}, per round "
        f"{values[CLAIRVOYANT]:.3f}."
    )
    return Found(rows, answer, lambda path: _plot(values, simulation, path))  # type: ignore[arg-type]


def _online(stored: Stored, seeds: Sequence[int]) -> tuple[list[dict[str, object]], Simulation]:
    """Let policies learn from their own choices over all queries once, in an order for each seed."""
    sides = [stored.data(side, FULL) for side in ("train", "test")]
    data = FullInformationData.concat(sides)
    policies = {"LinUCB": learners(0)["LinUCB"], "LinTS": learners(0)["LinTS"], "UCB1, no contexts": UCB1()}
    found = simulate(policies, FullInformationEnvironment(data), len(data), list(seeds))
    plain = float(data.costs[:, data.arm_names.index(NO_DRAFT)].sum())
    best = float(data.costs.sum(axis=0).min())
    rows: list[dict[str, object]] = []
    for row in found.rows:
        taken = [plain - len(data) * one for one in (row.value, row.high, row.low)]
        speeds = [Estimate(total / taken[0], total / taken[2], total / taken[1]) for total in (best, plain)]
        when = {"when": "per query, online", "name": f"{row.name}, online"}
        rows.append({**when, f"times {FIXED}": speeds[0], f"times {NO_DRAFT}": speeds[1]})
    return rows, found


def _plot(values: Mapping[str, Estimate], simulation: Simulation, path: Path) -> None:
    title = "When to choose, on held-out queries"
    interval_bars(path, values, title=title, x_label="times as fast as the best fixed arm", line=1.0)
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
