"""Nearest neighbours: what each arm brought on the most similar contexts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bandits.checks import Bool, Float32, Float64, Int64, at_least
from bandits.policies.kept_rows import KeptRows
from bandits.policies.state import PolicyState

_MAX_CELLS = 4_000_000  # distances, or differences of features, held at once: 32 MB
_EPSILON = float(np.finfo(np.float64).eps)


class KNN(KeptRows):
    """Chooses the arm with the best mean reward among its own rows nearest to the context.

    predicted reward(x, a) = mean of a's rewards over the `n_neighbors` rows of a nearest to x (Euclidean).

    Neighbours are exact whatever the features' sizes: products find candidates, differences rank them. Rows as near as
    the last one count too, so the order of rows does not matter. An arm with fewer rows uses all of them; one without
    rows predicts -inf: it is never chosen while another has some, so wrap the policy (`EpsilonGreedy(KNN())`) to
    explore. All rows are kept: memory is that of the log, and so is the time of a decision and of an update.

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
        groups = state.derive("groups", lambda: _groups(state.per_arm["rewards"], state.per_arm["weights"]))
        predicted = np.full((len(contexts), len(state.arm_names)), -np.inf)
        for part in _parts(len(contexts), len(store.rows)):
            queries = store.centred(contexts[part])
            distances, error = store.distances(queries)
            for group in groups:
                n_nearest = min(self.n_neighbors, len(group.own))
                near = _nearest(distances, error, queries, store.rows, group.own, n_nearest).astype(np.float64)
                for arm, weights, rewards in zip(group.arms, group.weights, group.weighted_rewards, strict=True):
                    predicted[part, arm] = (near @ rewards) / (near @ weights)  # one by one: equal arms stay equal
        return predicted


@dataclass(frozen=True, eq=False)
class _Group:
    """Arms that were seen on the same m rows, which have the same neighbours; weights (arms, m) times rewards."""

    arms: list[int]
    own: Int64
    weights: Float64
    weighted_rewards: Float64


def _groups(rewards: Float64, weights: Float64) -> list[_Group]:
    """Return the arms that have rows, together where these are the same; both arguments are (k, n)."""
    arms_on: dict[bytes, list[int]] = {}
    seen = weights > 0
    for arm in np.flatnonzero(seen.any(axis=1)).tolist():
        arms_on.setdefault(seen[arm].tobytes(), []).append(arm)
    groups = []
    for arms in arms_on.values():
        own = np.flatnonzero(seen[arms[0]])
        own_weights = np.ascontiguousarray(weights[arms][:, own])
        groups.append(_Group(arms, own, own_weights, own_weights * rewards[arms][:, own]))
    return groups


@dataclass(frozen=True, eq=False)
class _Store:
    """The kept rows less their centre, in float64, with their squared lengths.

    The centre is in float32 as contexts are, so that taking it off is exact.
    """

    rows: Float64
    squares: Float64
    centre: Float64

    @classmethod
    def of(cls, contexts: Float32) -> _Store:
        centre = contexts.mean(axis=0, dtype=np.float64).astype(np.float32) if len(contexts) else contexts.sum(axis=0)
        rows = contexts - centre.astype(np.float64)
        return cls(rows, np.einsum("nd,nd->n", rows, rows), centre.astype(np.float64))

    def centred(self, contexts: Float32) -> Float64:
        """Return contexts (b, d) less the centre."""
        return contexts - self.centre

    def distances(self, queries: Float64) -> tuple[Float64, Float64]:
        """Return squared distances (b, n) by one product, and a bound (b, 1) of what rounding made of them."""
        squares = np.einsum("nd,nd->n", queries, queries)[:, None]
        result = queries @ self.rows.T
        result *= -2.0
        result += squares
        result += self.squares
        return result, 2.0 * (queries.shape[1] + 4) * _EPSILON * (squares + self.squares.max(initial=0.0))


def _nearest(distances: Float64, error: Float64, queries: Float64, rows: Float64, own: Int64, n_nearest: int) -> Bool:
    """Return (b, m) bool: the `n_nearest` of some rows nearest to each query, and those as near as the last of them.

    No row beyond the last one's distance and twice the error can be among them; the others are ranked by sums of
    squared differences, which do not cancel.

    Args:
        distances: (b, n), within `error` (b, 1) of exact.
        error: of the distances.
        queries: (b, d).
        rows: (n, d).
        own: (m,) indices of the rows that count.
        n_nearest: <= m.
    """
    if len(own) < len(rows):
        distances = distances[:, own]
    last = np.partition(distances, n_nearest - 1, axis=1)[:, [n_nearest - 1]]
    places = np.nonzero(distances <= last + 2.0 * error)
    exact = np.full(distances.shape, np.inf)
    for part in _parts(len(places[0]), rows.shape[1]):
        query, row = places[0][part], places[1][part]
        differences = queries[query] - rows[own[row]]
        exact[query, row] = np.einsum("nd,nd->n", differences, differences)
    last = np.partition(exact, n_nearest - 1, axis=1)[:, [n_nearest - 1]]
    near: Bool = exact <= last * (1.0 + (rows.shape[1] + 4) * _EPSILON)
    return near


def _parts(n_rows: int, width: int) -> Iterator[slice]:
    step = max(1, _MAX_CELLS // max(width, 1))
    for start in range(0, n_rows, step):
        yield slice(start, start + step)
