"""The paper's reward at weights from 0 to 1: what it picks, how fast that is, and whether the best weight moves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from paper_parts.labels import DraftSpeed, labelled_sides, learned_from, paper_reward
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored
from paper_parts.targets import NO_DRAFT

from bandits import Estimate, FullInformationData
from bandits.evaluation.canvas import curves

WEIGHTS = tuple(round(0.1 * i, 1) for i in range(11))


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("weight_sweep", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Label with each weight on each machine, learn from it, and count total seconds on that machine."""
    rows: list[dict[str, object]] = []
    drawn: dict[str, list[Estimate]] = {}
    best: dict[str, float] = {}
    for profile in sorted(stored.profiles, key=lambda name: (name != stored.target.main, name)):
        sides = labelled_sides(stored, profile)
        points: dict[str, list[Estimate]] = {name: [] for name in ("REINFORCE", "KNN", "label itself")}
        for weight in WEIGHTS:
            reward = paper_reward(weight, DraftSpeed.of(stored, profile))
            row, own = _row([side.with_reward(reward) for side in sides], options.seeds)
            rows.append({"profile": profile, "weight": weight, **row})
            for name, estimates in points.items():
                estimates.append(own[name])
        row, _ = _row(sides, options.seeds)
        rows.append({"profile": profile, "weight": "time saved", **row})
        drawn[profile] = points["REINFORCE"]
        values = np.array([point.value for point in drawn[profile]])
        best[profile] = WEIGHTS[int(np.argmax(values > values.max() - 0.001))]  # the first of equals
    told = "; ".join(
        f"{profile}: best from weight {weight:g} on ({max(one.value for one in drawn[profile]):.2f} times no draft, "
        f"{drawn[profile][5].value:.2f} at 0.5)"
        for profile, weight in best.items()
    )
    direct = [row[f"REINFORCE, times {NO_DRAFT}"] for row in rows if row["weight"] == "time saved"]
    answer = (
        f"REINFORCE on the paper's reward, {told}. Learned from seconds saved, without a weight, it is "
        f"{', '.join(f'{one:.2f}' for one in direct)} times no draft on the same machines."
    )
    return Found(rows, answer, lambda path: _plot(drawn, path))


def _row(
    sides: Sequence[FullInformationData], seeds: Sequence[int]
) -> tuple[dict[str, object], Mapping[str, Estimate]]:
    """Return how fast each learner is that learns from the rewards of both sides, and what REINFORCE picks."""
    train, test = sides
    learned = learned_from(train, test, seeds)
    shares = learned.picks["REINFORCE"].mean(axis=(0, 1))
    picks = {f"picks {arm}": float(share) for arm, share in zip(test.arm_names, shares, strict=True)}
    return {**{f"{name}, times {NO_DRAFT}": one for name, one in learned.speeds.items()}, **picks}, learned.speeds


def _plot(drawn: dict[str, list[Estimate]], path: Path) -> None:
    curves(
        path,
        {name: (WEIGHTS, points) for name, points in drawn.items()},
        title="REINFORCE on the paper's reward",
        x_label="weight of text agreement, the rest is the draft's own speed",
        y_label="times as fast as no draft",
    )


if __name__ == "__main__":
    main()
