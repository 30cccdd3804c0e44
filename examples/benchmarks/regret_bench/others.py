"""Policies that forget where rewards change, wide policies on texts, and decisions among a thousand arms."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bandits import HashingEncoder, LinTS, LinUCB, LoggedData, Policy, from_long_table, simulate
from bandits.policies import UCB1, DiagonalLinUCB, Discounted, LinearPolicy, ResetOnDrift, SlidingWindow
from bandits.simulation.environments import DriftingEnvironment, FullInformationEnvironment

LOGS = ("llmrouter", "paretobandit_k4", "routellm_mmlu")
FORGETTING: Mapping[str, Policy] = {
    "LinUCB": LinUCB(),
    "Discounted(LinUCB), 0.99": Discounted(LinUCB(), discount=0.99),
    "Discounted(LinUCB), 0.995": Discounted(LinUCB(), discount=0.995),
    "SlidingWindow(LinUCB), 200 rows": SlidingWindow(LinUCB(), n_rows=200),
    "SlidingWindow(LinUCB), 500 rows": SlidingWindow(LinUCB(), n_rows=500),
    "ResetOnDrift(LinUCB)": ResetOnDrift(LinUCB()),
    "LinTS": LinTS(),
    "Discounted(LinTS), 0.995": Discounted(LinTS(), discount=0.995),
    "Discounted(UCB1), 0.99": Discounted(UCB1(), discount=0.99),
}


def drift_rows(n_decisions: int, seeds: Sequence[int]) -> list[dict[str, object]]:
    """Return the regret of policies that forget, where coefficients jump and where they move."""
    rows: list[dict[str, object]] = []
    for name, gradual in (("jumps", False), ("moves", True)):
        environment = DriftingEnvironment(n_changes=3, gradual=gradual)
        result = simulate(FORGETTING, environment, n_decisions, seeds, update_every=10)
        for row in result.rows:
            regret = {"value": row.regret.value, "low": row.regret.low, "high": row.regret.high}
            rows.append({"environment": name, "policy": row.name, "regret": regret})
    return rows


def text_rows(logs: Path, n_decisions: int, seeds: Sequence[int]) -> list[dict[str, object]]:
    """Return mean rewards, learning from own choices, with hashed texts of 384 and of 4,096 features."""
    rows: list[dict[str, object]] = []
    for name in LOGS:
        for n_features, policies in (
            (384, {"LinUCB": LinUCB(), "LinUCB, width 0.3": LinUCB(0.3)}),
            (4096, {"DiagonalLinUCB": DiagonalLinUCB(), "DiagonalLinUCB, width 0.3": DiagonalLinUCB(0.3)}),
        ):
            data = from_long_table(logs / f"{name}.parquet", encoder=HashingEncoder(n_features)).complete_rows()
            result = simulate(policies, FullInformationEnvironment(data), n_decisions, seeds, update_every=50)
            size = 8 * data.n_arms * (3 * (n_features + 1) if n_features > 384 else (n_features + 1) ** 2)
            for row in result.rows:
                reward = {"value": row.value, "low": row.low, "high": row.high}
                best = float(data.rewards.mean(axis=0).max())
                known = {"log": name, "n_arms": data.n_arms, "n_features": n_features, "best_fixed": best}
                rows.append({**known, "policy": row.name, "reward": reward, "megabytes": size / 1e6})
    return rows


def many_arms_rows(n_arms: int, n_decisions: int = 20) -> list[dict[str, object]]:
    """Return seconds of CPU and megabytes of a first and of later decisions among many arms with five rows each."""
    rng, names = np.random.default_rng(0), tuple(f"arm_{arm}" for arm in range(n_arms))
    n_rows, rows = 5 * n_arms, list[dict[str, object]]()
    contexts = rng.normal(size=(n_rows, 16)) / 4
    actions = np.arange(n_rows) % n_arms
    rewards = contexts[:, 0] + 0.5 * rng.normal(size=n_rows)
    log = LoggedData(contexts, actions, rewards, np.full(n_rows, 1 / n_arms), names)
    policies: Mapping[str, LinearPolicy] = {"LinUCB": LinUCB(), "LinTS": LinTS()}
    for name, policy in policies.items():
        policy.fit(log)
        tracemalloc.start()
        start = time.process_time()
        policy.choose(contexts[0], rng)
        first = time.process_time() - start
        start = time.process_time()
        for context in contexts[1 : n_decisions + 1]:
            policy.choose(context, rng)
        later = (time.process_time() - start) / n_decisions
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        rows.append({"policy": name, "n_arms": n_arms, "first_s": first, "later_s": later, "peak_megabytes": peak})
    return rows
