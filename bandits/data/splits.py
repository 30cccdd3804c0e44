"""Divisions of data into training and test rows that never put one query on both sides.

A query is a `query_id`; a row without one is a query of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from bandits import checks
from bandits.checks import Bool, Int64
from bandits.data.policy_data import PolicyData

AnyData = TypeVar("AnyData", bound=PolicyData)


@dataclass(frozen=True, slots=True)
class Split(Generic[AnyData]):
    """Training and test rows of one data set; together they are all of its rows."""

    train: AnyData
    test: AnyData


def query_numbers(data: PolicyData) -> Int64:
    """Return (n,) int64 in [0, q): equal for rows that share a query id, each row its own where it has none.

    Numbers follow first appearance.
    """
    if data.query_ids is None:
        return np.arange(len(data), dtype=np.int64)
    keys: list[object] = [row if key is None else key for row, key in enumerate(data.query_ids)]
    place = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    return np.array([place[key] for key in keys], dtype=np.int64)


def query_ranks(data: PolicyData, rng: np.random.Generator) -> Int64:
    """Return the place of each row's query in a random order of the queries, (n,) int64 in [0, q).

    Every random division by query is a bound on these ranks.
    """
    query = query_numbers(data)
    n_queries = int(query.max()) + 1
    ranks = np.empty(n_queries, np.int64)
    ranks[rng.permutation(n_queries)] = np.arange(n_queries)
    return ranks[query]


def n_test_queries(n_queries: int, test_share: float) -> int:
    """Return how many queries a share is, rounded; at least one is tested, and one is left to train on.

    Raises:
        ValueError: if there are fewer than two queries, or the share is outside (0, 1).
    """
    checks.share(test_share, "test_share")
    _at_least(n_queries, 2, "a split")
    return min(max(round(test_share * n_queries), 1), n_queries - 1)


def split_by_query(data: AnyData, test_share: float, rng: np.random.Generator) -> Split[AnyData]:
    """Put a random share of the queries into the test rows.

    Args:
        data: at least two queries.
        test_share: in (0, 1), of the queries; at least one query is left on either side.
        rng: decides which.

    Raises:
        ValueError: if there are fewer than two queries, or the share is outside (0, 1).
    """
    ranks = query_ranks(data, rng)
    return _split(data, ranks < n_test_queries(int(ranks.max()) + 1, test_share))


def folds_by_query(data: AnyData, n_folds: int, rng: np.random.Generator) -> Iterator[Split[AnyData]]:
    """Yield `n_folds` splits whose test rows cover the data once; fold sizes differ by one query at most.

    Raises:
        ValueError: if there are fewer queries than folds, or fewer than two folds.
    """
    for test in fold_masks(data, n_folds, rng):
        yield _split(data, test)


def fold_masks(data: PolicyData, n_folds: int, rng: np.random.Generator) -> list[Bool]:
    """Return each fold's test rows as an (n,) bool mask; see `folds_by_query`."""
    checks.at_least(n_folds, 2, "n_folds")
    ranks = query_ranks(data, rng)
    _at_least(int(ranks.max()) + 1, n_folds, f"{n_folds} folds")
    return [ranks % n_folds == index for index in range(n_folds)]


def split_by_time(data: AnyData, test_share: float, times: ArrayLike | None = None) -> Split[AnyData]:
    """Train on what was over before a moment, test on the rest.

    The moment is the (1 - test_share) quantile of the rows' times. A query with a row at or after it is tested
    with all its rows, so training never sees the future nor a tested query.

    Args:
        data: rows in any order.
        test_share: in (0, 1), of the rows; a query that spans the moment makes the test rows more.
        times: (n,) float64, seconds; None takes those of the data.

    Raises:
        ValueError: if times are missing or not finite, or one side would be empty.
    """
    checks.share(test_share, "test_share")
    moments = data.times if times is None else checks.moments(times, len(data))
    if moments is None:
        raise ValueError("split_by_time needs times: pass times=, one a row (these data hold none)")
    moment = np.quantile(moments, 1 - test_share, method="higher")
    query = query_numbers(data)
    last = np.full(int(query.max()) + 1, -np.inf)
    np.maximum.at(last, query, moments)
    test = last[query] >= moment
    if test.all():
        raise ValueError(f"no query is over before {moment}, where a test_share of {test_share} cuts: lower it")
    return _split(data, test)


def split_by_domain(data: AnyData, test_domains: Sequence[str]) -> Split[AnyData]:
    """Train on some domains and test on others.

    Raises:
        ValueError: if the data hold no domains or lack one of these, a row has none, one side would be empty,
            or a query has rows on both sides.
    """
    if isinstance(test_domains, str):
        raise TypeError(f"test_domains must be a sequence of names, got the single string {test_domains!r}")
    if data.domains is None:
        raise ValueError("split_by_domain needs domains, and these data hold none")
    unknown = [name for name in test_domains if name not in data.domains]
    if unknown or not test_domains:
        known = ", ".join(sorted({str(name) for name in data.domains}))
        raise ValueError(f"test_domains must be among {known}; got {unknown[0]!r}" if unknown else "no test_domains")
    for row, domain in enumerate(data.domains):
        if domain is None:
            raise ValueError(f"split_by_domain needs a domain a row: row {row} has none")
    test = np.isin(np.array(data.domains, dtype=object), list(test_domains))
    if test.all():
        raise ValueError("every row's domain is among test_domains: nothing is left to train on")
    query = query_numbers(data)
    both = np.intersect1d(query[test], query[~test])
    if both.size:
        row = int(np.argmax(query == both[0]))
        name = None if data.query_ids is None else data.query_ids[row]
        raise ValueError(f"query {name!r} (row {row}) has rows on both sides: give it one domain")
    return _split(data, test)


def _split(data: AnyData, test: Bool) -> Split[AnyData]:
    return Split(data.subset(~test), data.subset(test))


def _at_least(n_queries: int, wanted: int, what: str) -> None:
    if n_queries < wanted:
        raise ValueError(f"{what} by query needs at least {wanted} queries, the data hold {n_queries}")
