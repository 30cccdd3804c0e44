"""Streams of requests: queries in random order, and what changes at half-time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from online_bench.queries import Queries

SLOWER = 2.0
BEFORE = ("chat", "edit", "math", "mbpp", "qa")
MOST = 0.9  # of the requests that are of the half's own domains
_BEST = "copy_4_else_draft_3"


@dataclass(frozen=True, eq=False)
class Stream:
    """n requests, and what each arm takes for each.

    Attributes:
        contexts: (n, d) float32.
        seconds: (n, k) float64.
        rewards: (n, k) float64, `SecondsPerToken` of them.
        arm_names: k.
        joins: the arm that is not there before half-time; None where all are.
    """

    contexts: np.ndarray
    seconds: np.ndarray
    rewards: np.ndarray
    arm_names: tuple[str, ...]
    joins: str | None = None

    @property
    def half(self) -> int:
        """The first request after half-time."""
        return len(self.contexts) // 2

    def best_fixed(self, first: int, last: int) -> int:
        """Return the arm that would take the least time for these requests, of those that are there."""
        seconds = self.seconds[first:last].sum(axis=0)
        if self.joins is not None and first < self.half:
            seconds[self.arm_names.index(self.joins)] = np.inf
        return int(seconds.argmin())


def steady(queries: Queries, n: int, rng: np.random.Generator) -> Stream:
    """Nothing changes."""
    return _stream(queries, rng.integers(len(queries.tokens), size=n))


def one_slowed(queries: Queries, n: int, rng: np.random.Generator) -> Stream:
    """Let the best fixed arm take twice as long from half-time on."""
    rows = rng.integers(len(queries.tokens), size=n)
    factors = np.ones((n, len(queries.arm_names)))
    factors[n // 2 :, queries.arm_names.index(_BEST)] = SLOWER
    return _stream(queries, rows, factors)


def mix_turned(queries: Queries, n: int, rng: np.random.Generator) -> Stream:
    """Nine of ten requests are of five domains before half-time, and of the other four after it."""
    of_before = np.isin(queries.domains, BEFORE)
    wanted = (rng.random(n) < MOST) == (np.arange(n) < n // 2)
    own, other = np.flatnonzero(of_before), np.flatnonzero(~of_before)
    return _stream(queries, np.where(wanted, rng.choice(own, n), rng.choice(other, n)))


def arm_added(queries: Queries, n: int, rng: np.random.Generator) -> Stream:
    """Let the best fixed arm join at half-time."""
    stream = steady(queries, n, rng)
    return Stream(stream.contexts, stream.seconds, stream.rewards, stream.arm_names, joins=_BEST)


STREAMS: Mapping[str, Callable[[Queries, int, np.random.Generator], Stream]] = {
    "nothing changes": steady,
    "one arm slowed": one_slowed,
    "domain mix turned": mix_turned,
    "arm added": arm_added,
}


def _stream(queries: Queries, rows: np.ndarray, factors: np.ndarray | None = None) -> Stream:
    seconds = queries.seconds[rows] if factors is None else queries.seconds[rows] * factors
    rewards = -np.minimum(1.0, seconds / (queries.tokens[rows, None] * queries.slowest))
    return Stream(queries.contexts[rows], seconds, rewards, queries.arm_names)
