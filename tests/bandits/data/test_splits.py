"""Splits keep all rows and never put a query on both sides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits import (
    FullInformationData,
    LoggedData,
    split_by_query,
)
from bandits.data import folds_by_query, split_by_domain, split_by_time

IDS = st.lists(st.sampled_from([None, "a", "b", "c", "d"]), min_size=4, max_size=20)


def log(ids, times=None, domains=None):
    n = len(ids)
    return LoggedData(
        contexts=np.arange(n)[:, None],
        actions=np.zeros(n, np.int64),
        rewards=np.arange(n, dtype=float),
        propensities=np.full(n, 0.5),
        arm_names=("x", "y"),
        query_ids=ids,
        times=times,
        domains=domains,
    )


def check(split, data):
    rows = sorted([*split.train.rewards, *split.test.rewards])
    assert rows == list(data.rewards)
    named = [{key for key in side.query_ids if key is not None} for side in (split.train, split.test)]
    assert not named[0] & named[1]


def several(ids):
    return len({key for key in ids if key is not None}) + ids.count(None) >= 2


@given(IDS.filter(several), st.floats(0.01, 0.99), st.integers(0, 10))
def test_split_by_query_never_leaks(ids, share, seed):
    data = log(ids)
    check(split_by_query(data, share, np.random.default_rng(seed)), data)


@given(IDS.filter(several), st.integers(0, 10))
def test_folds_test_each_row_once_and_never_leak(ids, seed):
    data = log(ids)
    tested = []
    for split in folds_by_query(data, 2, np.random.default_rng(seed)):
        check(split, data)
        tested += list(split.test.rewards)
    assert sorted(tested) == list(data.rewards)


@given(IDS, st.floats(0.1, 0.9), st.permutations(range(20)))
def test_split_by_time_never_trains_on_the_future(ids, share, order):
    data = log(ids, times=[float(x) for x in order[: len(ids)]])
    moment = np.quantile(data.times, 1 - share, method="higher")
    last = {key: max(t for other, t in zip(ids, data.times, strict=True) if other == key) for key in ids if key}
    if all(last.get(key, t) >= moment for key, t in zip(ids, data.times, strict=True)):
        with pytest.raises(ValueError, match="no query is over"):
            split_by_time(data, share)
        return
    split = split_by_time(data, share)
    check(split, data)
    assert max(split.train.times) < max(split.test.times)
    assert max(split.train.times) < moment


def test_split_by_time_takes_times_for_full_information():
    data = FullInformationData(np.eye(4), np.eye(4)[:, :2], ("a", "b"))
    with pytest.raises(ValueError, match="pass times="):
        split_by_time(data, 0.5)
    split = split_by_time(data, 0.25, times=[3, 0, 1, 2])
    np.testing.assert_array_equal(split.test.contexts, data.contexts[:1])
    timed = replace(data, times=np.array([3, 0, 1, 2], dtype="datetime64[D]"))
    assert split_by_time(timed, 0.25).test.times.tolist() == [3 * 86_400.0]


def test_split_by_domain():
    data = log(["a", "b", "c", None], domains=["m", "m", "n", "o"])
    split = split_by_domain(data, ["n", "o"])
    check(split, data)
    assert set(split.train.domains) == {"m"}


@pytest.mark.parametrize(
    ("ids", "domains", "wanted", "message"),
    [
        (["a", "b"], None, ["m"], "hold none"),
        (["a", "b"], ["m", "n"], ["z"], "got 'z'"),
        (["a", "b"], ["m", "n"], ["m", "n"], "nothing is left"),
        (["a", "b"], ["m", None], ["m"], "row 1 has none"),
        (["a", "a"], ["m", "n"], ["m"], "query 'a'"),
    ],
)
def test_split_by_domain_refuses(ids, domains, wanted, message):
    with pytest.raises(ValueError, match=message):
        split_by_domain(log(ids, domains=domains), wanted)


def test_too_few_queries_and_bad_shares_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="hold 1"):
        split_by_query(log(["a", "a", "a"]), 0.5, rng)
    with pytest.raises(ValueError, match="test_share"):
        split_by_query(log(["a", "b"]), 1.0, rng)
    with pytest.raises(ValueError, match="5 folds"):
        list(folds_by_query(log(["a", "b"]), 5, rng))
