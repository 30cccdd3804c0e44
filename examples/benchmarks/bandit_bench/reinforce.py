"""How fast REINFORCE trains, and what its value is beside ridge regression's on the same rows. Needs torch."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

from arms.optional_import import optional_import
from bandit_bench.data_sets import LOGS, split
from bandit_bench.quality import at_least_zero, interval
from bandit_bench.speed import Log
from bandits import FullInformationData, LinUCB, LoggedData, Policy, Reinforce, SeedTree
from bandits.policies import AdamWSettings
from bandits.policies.linear.prior_precision import choose_prior_precision

NEEDED_ROWS_A_SECOND = 100_000
EPOCHS = 5


def training_speed(n_rows: int, repeats: int, seed: int) -> list[dict[str, Any]]:
    """Return training rows a second at 384 features and 4 arms, by size of the hidden layers.

    Seconds are those of CPU time on one thread, so that what else the machine runs does not count.
    """
    optional_import("torch", "llm").set_num_threads(1)
    log = Log.draw(n_rows, 384, 4, seed)
    names = tuple(f"arm_{arm}" for arm in range(4))
    data = LoggedData(log.contexts, log.actions, log.rewards, np.full(n_rows, 0.25), names)
    rows = []
    for hidden_size in (64, 128):
        settings = AdamWSettings(max_epochs=EPOCHS, patience=EPOCHS)
        n_trained = EPOCHS * (n_rows - int(settings.held_out_share * n_rows))
        seconds = []
        for _ in range(repeats + 1):
            policy = Reinforce(hidden_size=hidden_size, training=settings, seed=seed)
            started = time.process_time()
            policy.fit(data)
            seconds.append(time.process_time() - started)
        speeds = n_trained / np.array(seconds[1:])
        rows.append(
            {
                "hidden_size": hidden_size,
                "rows_a_second": float(np.median(speeds)),
                "low": float(speeds.min()),
                "high": float(speeds.max()),
            }
        )
    return rows


def run(data: FullInformationData, seed: int) -> dict[str, float]:
    """Return values on held-out rows: of REINFORCE and of ridge, from bandit feedback and from full information."""
    train, log, test = split(data, seed)
    own_seed = SeedTree(seed).integer("learner")
    values = {"best fixed arm of training": float(test.rewards[:, train.rewards.mean(axis=0).argmax()].mean())}
    kinds: tuple[tuple[str, LoggedData | FullInformationData], ...] = (("bandit", log), ("full", train))
    for kind, rows in kinds:
        tuned = partial(LinUCB, ucb_width=0.0, prior_precision=choose_prior_precision(rows))
        policies: dict[str, Policy] = {
            "Reinforce": Reinforce(seed=own_seed),
            "ridge": LinUCB(ucb_width=0.0),
            "ridge, chosen precision": tuned(),
        }
        values |= {f"{name}, {kind}": test.value(policy.fit(rows)) for name, policy in policies.items()}
    return values


def summarise(results: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """Return a row for each log: values, and REINFORCE's less ridge's, paired by seed."""
    rows = []
    for data_set, found in results.items():
        table = {name: np.array([values[name] for values in found]) for name in found[0]}
        rows.append(
            {
                "data_set": data_set,
                "n_seeds": len(found),
                "value": {name: interval(values) for name, values in table.items()},
                "less_ridge": {
                    kind: interval(table[f"Reinforce, {kind}"] - table[f"ridge, {kind}"]) for kind in ("bandit", "full")
                },
            }
        )
    return rows


def reinforce_bars(speed: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what REINFORCE is meant to reach."""
    rate = speed[0]["rows_a_second"]
    name = "Reinforce: training rows a second at 384 features, one thread's CPU time"
    bars = [{"name": name, "value": rate, "bar": NEEDED_ROWS_A_SECOND, "holds": rate >= NEEDED_ROWS_A_SECOND}]
    for row in rows:
        if row["data_set"] in LOGS:
            bars.append(
                at_least_zero(f"{row['data_set']}: Reinforce less ridge, bandit feedback", row["less_ridge"]["bandit"])
            )
    return bars
