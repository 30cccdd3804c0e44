"""Nearest neighbours: what each arm brought on the most similar contexts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bandits.checks import Float32, Float64, Int64, at_least
from bandits.policies.kept_rows import KeptRows
from bandits.policies.state import PolicyState

_MAX_CELLS = 4_000_000  # distances held at once: 32 MB
_ROUNDING = 1e-9  # distances that differ by less, relative to the squared lengths, count as equal


class KNN(KeptRows):
    """Chooses the arm with the best mean reward among its own rows nearest to the context.

    predicted reward(x, a) = mean of a's rewards over the `n_neighbors` rows of a nearest to x (Euclidean).

    Rows as near as the last one count too, so the order of rows does not matter. An arm with fewer rows uses
    all of them; one without rows predicts -inf: it is never chosen while another has some, so wrap the policy
    (`EpsilonGreedy(KNN())`) to explore. All rows are kept: memory is that of the log, and so is the time of a
    decision and of an update.

    Args:
        n_neighbors: rows of each arm to average over.
        arm_names: see `Policy`.

    Source: Cover and Hart 1967, Nearest Neighbor Pattern Classification; here as regression, arm by arm.
    """

    exact_updates = True

    def __init__(self, n_neighbors: int = 10, *, arm_names: Sequence[str] | None = None) -> None:
        super().__init__(arm_names)
        self.n_neighbors = at_least(n_neighbors, 1, "n_neighbors")

    def _predict_rewards(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return the mean reward of each arm's nearest rows; -inf for an arm without rows."""
        store = state.derive("store", lambda: _Store.of(state.shared["contexts"]))
        predicted = np.full((len(contexts), len(state.arm_names)), -np.inf)
        for part in _parts(len(contexts), len(store.rows)):
            distances, rounding = store.distances(contexts[part].astype(np.float64))
            for arm, weights in enumerate(state.per_arm["weights"]):
                own = np.flatnonzero(weights > 0)
                if len(own) > 0:
                    near = self._nearest(distances, own, rounding)
                    rewards = weights[own] * state.per_arm["rewards"][arm, own]
                    predicted[part, arm] = (near @ rewards) / (near @ weights[own])
        return predicted

    def _nearest(self, distances: Float64, own: Int64, rounding: Float64) -> Float64:
        """Return (b, len(own)) float64: 1 for an arm's rows among the nearest, else 0."""
        mine = distances[:, own]
        last = min(self.n_neighbors, len(own)) - 1
        furthest = np.partition(mine, last, axis=1)[:, [last]]
        return (mine <= furthest + rounding).astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Store:
    """The kept rows in float64, with their squared lengths."""

    rows: Float64
    squares: Float64

    @classmethod
    def of(cls, contexts: Float32) -> _Store:
        rows = contexts.astype(np.float64)
        return cls(rows, np.einsum("nd,nd->n", rows, rows))

    def distances(self, contexts: Float64) -> tuple[Float64, Float64]:
        """Return squared distances (b, n) to the kept rows, and what rounding may add to each row's (b, 1)."""
        squares = np.einsum("nd,nd->n", contexts, contexts)[:, None]
        result = contexts @ self.rows.T
        result *= -2.0
        result += squares
        result += self.squares
        return result, _ROUNDING * (squares + self.squares.max(initial=0.0))


def _parts(n_rows: int, n_kept: int) -> Iterator[slice]:
    step = max(1, _MAX_CELLS // max(n_kept, 1))
    for start in range(0, n_rows, step):
        yield slice(start, start + step)
