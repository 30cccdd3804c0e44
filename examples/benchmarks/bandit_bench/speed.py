"""How long our policies and other libraries' take to learn and to choose, call against call on one thread.

Each pair is timed in alternation (ours, peer, ours, peer, ...), so that a busy machine slows both. A ratio is that
of the medians; its interval is the 95 % bootstrap over pairs.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any, Literal, get_args

import numpy as np

from bandit_bench.learners import Contexts, Learner, Ours
from bandit_bench.peers import UCB_PEERS, Make, Peer, installed
from bandits import LinTS, LinUCB, Policy
from bandits.checks import Float64, Int64
from bandits.statistics.bootstrap import Bootstrap

Operation = Literal["fit", "batch", "decision", "online"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        n_rows: n, for fits and batches.
        n_features: the sizes d at which peers are compared.
        n_arms: k.
        pairs: timings of each side, at least 3.
        run_seconds: about what one timing of single decisions takes; slow peers make fewer decisions.
        growth: d, k and n at which our own policies are measured, the others at their first value.
    """

    n_rows: int = 20_000
    n_features: tuple[int, ...] = (384, 32)
    n_arms: int = 4
    pairs: int = 7
    run_seconds: float = 0.15
    growth: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] = (
        (32, 64, 128, 256, 384, 768),
        (2, 4, 8, 16, 32, 64),
        (1_000, 3_000, 10_000, 30_000, 100_000),
    )


SMOKE = Sizes(300, (24, 8), 3, 3, 0.002, ((8, 16), (2, 3), (100, 200)))


def our_lin_ucb() -> Policy:
    """Return LinUCB as every peer has it: without an intercept."""
    return LinUCB(1.0, intercept_precision=None)


@dataclass(frozen=True)
class Log:
    """Uniformly logged decisions: contexts of unit length whose spectrum decays, rewards 0 or 1."""

    contexts: Contexts
    actions: Int64
    rewards: Float64
    means: Float64

    @classmethod
    def draw(cls, n_rows: int, n_features: int, n_arms: int, seed: int) -> Log:
        """Draw a log whose mean rewards are logistic in the context."""
        rng = np.random.default_rng([seed, n_features, n_arms])
        contexts = rng.normal(size=(n_rows, n_features)) / np.sqrt(np.arange(1, n_features + 1))
        contexts /= np.linalg.norm(contexts, axis=1, keepdims=True)
        scores = contexts @ rng.normal(size=(n_features, n_arms))
        means = 1.0 / (1.0 + np.exp(-2.0 * scores))
        actions = rng.integers(n_arms, size=n_rows)
        rewards = (rng.random(n_rows) < means[np.arange(n_rows), actions]).astype(np.float64)
        return cls(contexts.astype(np.float32), actions, rewards, means)


class Runner:
    """One learner on one log, with its contexts ready in its own number format.

    Args:
        make: the learner.
        log: what it learns; single decisions go round its contexts.
        n_fit: rows it is fitted to before anything is timed.
        seed: of the learner.
    """

    def __init__(self, make: Make, log: Log, n_fit: int, seed: int) -> None:
        self._log, self._n_arms = log, log.means.shape[1]
        self._make = partial(make, log.contexts.shape[1], self._n_arms, seed)
        self.learner = self._make()
        self.contexts = log.contexts.astype(self.learner.dtype)
        self.learner.learn_many(self.contexts[:n_fit], log.actions[:n_fit], log.rewards[:n_fit])
        n_single = min(500, len(log.actions))
        single = self.learner.single(self.contexts[:n_single])
        self._rounds: Iterator[tuple[Any, list[float]]] = cycle(zip(single, log.means[:n_single].tolist(), strict=True))

    def seconds_a_row(self, operation: Operation, n_rows: int) -> float:
        """Return seconds a row of fitting, choosing for a batch, choosing once, or choosing and learning once."""
        run = {"fit": self._fit, "batch": self._batch, "decision": self._decide, "online": self._learn}[operation]
        rounds = [next(self._rounds) for _ in range(n_rows)] if operation in ("decision", "online") else []
        gc.disable()
        started = time.perf_counter()
        run(n_rows, rounds)
        seconds = time.perf_counter() - started
        gc.enable()
        return seconds / n_rows

    def _fit(self, n_rows: int, _: list[tuple[Any, list[float]]]) -> None:
        log = self._log
        self._make().learn_many(self.contexts[:n_rows], log.actions[:n_rows], log.rewards[:n_rows])

    def _batch(self, n_rows: int, _: list[tuple[Any, list[float]]]) -> None:
        self.learner.choose_many(self.contexts[:n_rows])

    def _decide(self, _: int, rounds: list[tuple[Any, list[float]]]) -> None:
        choose = self.learner.choose
        for context, _means in rounds:
            choose(context)

    def _learn(self, _: int, rounds: list[tuple[Any, list[float]]]) -> None:
        learner = self.learner
        for context, means in rounds:
            action = learner.choose(context)
            learner.update(context, action, means[action])


def measure_peers(sizes: Sizes, seed: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return a row for each size, peer and operation that the peer has."""
    rows = []
    for n_features in sizes.n_features:
        log = Log.draw(sizes.n_rows, n_features, sizes.n_arms, seed)
        for name, peer in installed(UCB_PEERS).items():
            rows += _compare(name, peer, our_lin_ucb, log, sizes, seed)
            say(_summary(name, rows, n_features))
    return rows


def measure_lin_ts(sizes: Sizes, seed: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return our LinTS, exact probabilities included, against our LinUCB in the peer's place."""
    rows = []
    peer = Peer("draftpick", partial(Ours, LinUCB), same_choice=False)
    for n_features in sizes.n_features:
        log = Log.draw(sizes.n_rows, n_features, sizes.n_arms, seed)
        rows += _compare("our LinUCB", peer, LinTS, log, sizes, seed)
        say(_summary("our LinUCB", rows, n_features))
    return rows


def measure_growth(sizes: Sizes, seed: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return how our LinUCB's and LinTS's time a row grows with d, with k and with n."""
    rows = []
    first = (128, sizes.n_arms, sizes.n_rows) if len(sizes.growth[0]) > 2 else tuple(way[0] for way in sizes.growth)
    for axis, values in zip("dkn", sizes.growth, strict=True):
        for value in values:
            place = dict(zip("dkn", first, strict=True)) | {axis: value}
            log = Log.draw(place["n"], place["d"], place["k"], seed)
            for name, make in (("LinUCB", LinUCB), ("LinTS", LinTS)):
                runner = Runner(partial(Ours, make), log, place["n"], seed)
                row: dict[str, Any] = {"along": axis, "policy": name, **place}
                for operation in OPERATIONS:
                    n_rows = place["n"] if operation in ("fit", "batch") else _single_rows(runner, operation, sizes)
                    times = [runner.seconds_a_row(operation, n_rows) for _ in range(1 + min(sizes.pairs, 5))]
                    row[f"{operation}_us"] = 1e6 * float(np.median(times[1:]))
                rows.append(row)
        say(f"growth along {axis} measured")
    return rows


def _compare(
    name: str, peer: Peer, make_ours: Callable[[], Policy], log: Log, sizes: Sizes, seed: int
) -> list[dict[str, Any]]:
    n_fit = len(log.actions) if peer.in_batches else max(20, len(log.actions) // 50)
    ours = Runner(partial(Ours, make_ours), log, n_fit, seed)
    theirs = Runner(peer.make, log, n_fit, seed)
    agreement = _agreement(ours.learner, theirs.learner, log)
    rows = []
    for operation in OPERATIONS:
        alike = peer.same_ridge and (peer.same_choice or operation == "fit")
        if operation in ("fit", "batch"):
            if not peer.in_batches:
                continue
            n_ours = n_theirs = len(log.actions) if alike or peer.package == "draftpick" else len(log.actions) // 10
        else:
            n_ours, n_theirs = _single_rows(ours, operation, sizes), _single_rows(theirs, operation, sizes)
        pairs = []
        for pair in range(sizes.pairs + 1):
            timing = ours.seconds_a_row(operation, n_ours), theirs.seconds_a_row(operation, n_theirs)
            if pair > 0:  # the first warms caches up
                pairs.append(timing)
        rows.append(
            {
                "peer": name,
                "operation": operation,
                "d": log.contexts.shape[1],
                "k": log.means.shape[1],
                "same_rule": alike,
                "same_ridge": peer.same_ridge,
                "agreement": agreement,
                "rows": [n_ours, n_theirs],
                "pairs": sizes.pairs,
                **ratio(np.array(pairs), seed),
            }
        )
    return rows


def _single_rows(runner: Runner, operation: Operation, sizes: Sizes) -> int:
    """Return how many single decisions fill one timing: 3 to 500."""
    fastest = min(runner.seconds_a_row(operation, 3) for _ in range(4))
    return int(np.clip(sizes.run_seconds / fastest, 3, 500))


def ratio(pairs: Float64, seed: int) -> dict[str, float]:
    """Return medians in microseconds and their ratio, ours over theirs, with its interval."""
    bootstrap = Bootstrap(n_resamples=RESAMPLES, seed=seed)
    ours, theirs = np.median(pairs, axis=0)
    medians = np.median(pairs[bootstrap.draws(len(pairs))], axis=1)
    ratio = bootstrap.estimate(np.concatenate([[ours / theirs], medians[:, 0] / medians[:, 1]]), len(pairs))
    return {
        "ours_us": float(1e6 * ours),
        "peer_us": float(1e6 * theirs),
        "ratio": ratio.value,
        "low": ratio.low,
        "high": ratio.high,
    }


def _agreement(ours: Learner, theirs: Learner, log: Log) -> float:
    """Return the share of 100 contexts on which both, fitted to the same rows, choose the same arm."""
    contexts = log.contexts[:100]
    return float(np.mean(ours.choose_many(contexts) == theirs.choose_many(contexts.astype(theirs.dtype))))


def _summary(name: str, rows: list[dict[str, Any]], n_features: int) -> str:
    own = [row for row in rows if row["peer"] == name and row["d"] == n_features]
    cells = (f"{row['operation']} {row['ours_us']:.1f}/{row['peer_us']:.1f} us = {row['ratio']:.2f}" for row in own)
    return f"d = {n_features}, {name}, agreement {own[0]['agreement']:.2f}: {', '.join(cells)}"


def speed_bars(rows: list[dict[str, Any]], lin_ts: list[dict[str, Any]], sizes: Sizes) -> list[dict[str, Any]]:
    """Return what speed is meant to reach, against the peer that comes nearest in paired timing."""
    wide, narrow = max(sizes.n_features), min(sizes.n_features)
    needed: dict[int, dict[Operation, float]] = {
        wide: {"fit": 1.0, "batch": 1.0, "decision": 1.0, "online": 1 / 3},
        narrow: dict.fromkeys(OPERATIONS, 1.5),
    }
    bars = []
    for n_features, limits in needed.items():
        for operation, limit in limits.items():
            alike = "same_ridge" if operation == "online" else "same_rule"
            own = [r for r in rows if r["d"] == n_features and r["operation"] == operation and r[alike]]
            if own:
                nearest = max(own, key=lambda row: row["ratio"])
                name = f"{operation}, d = {n_features}: LinUCB's time over {nearest['peer']}'s"
                bars.append(_bar(name, nearest, limit))
    for row in lin_ts:
        if row["d"] == wide:
            bars.append(_bar(f"{row['operation']}, d = {wide}: LinTS's time over LinUCB's", row, 2.0))
    return bars


def _bar(name: str, row: dict[str, Any], limit: float) -> dict[str, Any]:
    return {
        "name": name,
        "value": row["ratio"],
        "low": row["low"],
        "high": row["high"],
        "bar": limit,
        "at_most": True,
        "holds": row["ratio"] <= limit,
    }
