"""What rewards our policies and other libraries' bring, on the same bandit feedback.

Two ways. Logged: fitted to one half of the data as a uniform policy logged it, then the mean reward of their choices
on the other half. Online: a pass over the data in batches of 50, choosing by what was learned so far. Differences
are paired by seed; intervals are 95 % Student-t intervals over seeds.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from bandit_bench.data_sets import split
from bandit_bench.learners import Learner, Ours
from bandit_bench.peers import CHECKS, TS_PEERS, UCB_PEERS, Make, installed
from bandits import FullInformationData, LinTS, LinUCB, Policy, SeedTree
from bandits.checks import Float64
from bandits.policies import NoisePrior
from bandits.policies.linear.lin_ts import OFFLINE_SCALE

BATCH = 50  # decisions between two updates of an online pass
ONLINE_PEERS_UP_TO = 100  # features; beyond, the peers' online passes take hours
NOISE_SCALES = (0.03, 0.1, 0.2, 0.3, 0.5, 1.0)
TUNED = "LinTS, noise="

OWN_INTERCEPT = 0.01  # leaves each arm's mean its own
LEARNED = partial(
    LinTS, noise=NoisePrior(rate=0.1), prior_precision=None, intercept_precision=OWN_INTERCEPT, sampled_share=1.0
)
SHARP = partial(LEARNED, posterior_scale=OFFLINE_SCALE)  # over too few decisions to be locked in
OURS: dict[str, Callable[[], Policy]] = {
    "LinUCB": partial(LinUCB, 1.0, intercept_precision=OWN_INTERCEPT),  # the peers' width
    "LinUCB, no intercept": partial(LinUCB, 1.0, intercept_precision=None),
    "LinTS": SHARP,
    "LinTS, no intercept": partial(SHARP, intercept_precision=None),
    "LinTS, posterior_scale=1": LEARNED,
    "LinTS, posterior_scale=1, prior_precision=1": partial(LEARNED, prior_precision=1.0),
    "LinTS, defaults": LinTS,
}
SCALED: dict[str, Callable[[], Policy]] = {f"{TUNED}{scale:g}": partial(LEARNED, noise=scale) for scale in NOISE_SCALES}


@dataclass(frozen=True, slots=True)
class Task:
    """One data set, one seed, one way."""

    data_set: str
    way: str
    seed: int


def peers_of(way: str, n_features: int) -> dict[str, Make]:
    """Return the peers measured in one way; VW, coba, river and ParetoBandit learn row by row and are left out."""
    if way == "online" and n_features > ONLINE_PEERS_UP_TO:
        return {}
    ucb = {name: peer for name, peer in UCB_PEERS.items() if peer.in_batches and not name.endswith(("chol", "float64"))}
    return {name: peer.make for name, peer in installed(ucb | TS_PEERS | CHECKS).items()}


def run(task: Task, data: FullInformationData, n_online: int) -> dict[str, float]:
    """Return each learner's mean reward."""
    ours = OURS | SCALED if task.way == "online" else OURS
    measure = partial(_online, n_online=n_online) if task.way == "online" else _logged
    makes = {name: partial(Ours, make) for name, make in ours.items()} | peers_of(task.way, data.n_features)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # the peers' own
        return {name: measure(make, data, task.seed) for name, make in makes.items()}


def _logged(make: Make, data: FullInformationData, seed: int) -> float:
    _, log, test = split(data, seed)
    learner = make(data.n_features, data.n_arms, SeedTree(seed).integer("learner"))
    learner.learn_many(log.contexts.astype(learner.dtype), log.actions, log.rewards)
    if isinstance(learner, Ours):
        return float((learner.policy.probabilities(test.contexts) * test.rewards).sum(axis=1).mean())
    return _mean_reward(learner, test.contexts, test.rewards)


def _online(make: Make, data: FullInformationData, seed: int, n_online: int) -> float:
    tree = SeedTree(seed)
    rows = tree.rng("order").permutation(len(data))[:n_online]
    learner = make(data.n_features, data.n_arms, tree.integer("learner"))
    contexts: np.ndarray = data.contexts[rows].astype(learner.dtype)
    rewards = data.rewards[rows]
    total = 0.0
    for start in range(0, len(rows), BATCH):
        part = slice(start, start + BATCH)
        if start == 0:  # some cannot choose before they have learned
            actions = tree.rng("first").integers(data.n_arms, size=len(rewards[part]))
        else:
            actions = learner.choose_many(contexts[part])
        gained = rewards[part][np.arange(len(actions)), actions]
        learner.learn_many(contexts[part], actions, gained)
        total += gained.sum()
    return total / len(rows)


def _mean_reward(learner: Learner, contexts: np.ndarray, rewards: Float64) -> float:
    actions = learner.choose_many(contexts.astype(learner.dtype))
    return float(rewards[np.arange(len(actions)), actions].mean())


def summarise(results: Mapping[Task, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return a row for each way, data set and algorithm: means, and ours against the best peer."""
    rows = []
    for way, data_set in dict.fromkeys((task.way, task.data_set) for task in results):
        own = [found for task, found in results.items() if (task.way, task.data_set) == (way, data_set)]
        table = {name: np.array([found[name] for found in own]) for name in own[0]}
        for algorithm in ("LinUCB", "LinTS"):
            kind = algorithm[3:]
            peers = [name for name in table if name.split(",")[0].endswith(kind) and name in UCB_PEERS | TS_PEERS]
            names = [name for name in table if name.startswith(algorithm)] + peers
            names += [name for name in table if name in CHECKS and algorithm == "LinTS"]
            row: dict[str, Any] = {"way": way, "data_set": data_set, "algorithm": algorithm, "n_seeds": len(own)}
            row["mean_reward"] = {name: interval(table[name]) for name in names}
            for label, others in (("best_peer", peers), ("best_scale", [n for n in names if n.startswith(TUNED)])):
                if others:
                    best = max(others, key=lambda name: table[name].mean())
                    row[label] = {"name": best, **interval(table[algorithm] - table[best])}
            rows.append(row)
    return rows


def interval(values: Float64) -> dict[str, float]:
    """Return mean and 95 % Student-t interval over seeds."""
    mean = float(values.mean())
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return {"value": mean, "low": mean - half, "high": mean + half}


def quality_bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what quality is meant to reach: no difference whose interval lies below zero."""
    bars = []
    for row in rows:
        for label in ("best_peer", "best_scale"):
            if label in row:
                other = row[label]
                name = f"{row['data_set']}, {row['way']}: {row['algorithm']} less {other['name']}"
                bars.append(at_least_zero(name, other))
    return bars


def at_least_zero(name: str, difference: dict[str, Any]) -> dict[str, Any]:
    """Return a bar that a difference reaches unless its interval lies below zero."""
    kept = {key: difference[key] for key in ("value", "low", "high")}
    return {"name": name, **kept, "bar": 0.0, "within_interval": True, "holds": difference["high"] >= 0}


def limit_threads() -> None:
    """Leave this process one thread in every numerical library that is loaded."""
    threadpool_limits(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
