"""A comparison on rows that are read in batches: disjoint queries, and no trace of where a batch ends."""

import pickle

import numpy as np
import pytest

from arms.executors import ThreadExecutor
from bandits import (
    IPS,
    SNIPS,
    BestFixedArm,
    ComparisonSettings,
    DoublyRobust,
    FullInformationData,
    LinUCB,
    LoggedData,
    Uniform,
    compare,
)
from bandits.data import batches
from bandits.off_policy.estimators import Slope
from bandits.testing import example_data

POLICIES = {
    "fixed": BestFixedArm(),
    "LinUCB": LinUCB(prior_precision=2.0),
}  # a prior precision that is not chosen on a batch
QUICK = ComparisonSettings(train_shares=(0.5, 1.0), n_bootstrap=100, estimators=(SNIPS(), IPS()))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(batches.full_batches, "__defaults__", (100,))


def _rows(n=900):
    data = example_data(n).subset(np.arange(n) % 600)
    costs = np.tile([1.0, 2.0, 4.0], (n, 1))
    ids = [f"q{row % 600}" for row in range(n)]  # the second row of a query comes in another batch
    rewards = data.rewards + 0.001 * (np.arange(n)[:, None] // 600)
    return FullInformationData(data.contexts, rewards, data.arm_names, costs=costs, query_ids=ids)


def _parts(data, folder):
    for part, rows in enumerate(np.array_split(np.arange(len(data)), 3)):
        data.subset(rows).write_part(folder, part)
    type(data).close_folder(folder)
    return folder


@pytest.fixture
def full(tmp_path):
    return _parts(_rows(), tmp_path / "full")


@pytest.fixture
def log(tmp_path):
    return _parts(_rows().log_with(Uniform(), np.random.default_rng(4)), tmp_path / "log")


def _same(one, other):
    assert [row.name for row in one.rows] == [row.name for row in other.rows]
    for first, second in zip((*one.rows, *one.curves), (*other.rows, *other.curves), strict=True):
        assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high), rel=1e-9)
    for first, second in zip(one.rows, other.rows, strict=True):
        assert first.arm_shares == pytest.approx(second.arm_shares)
        assert first.effective_sample_size == pytest.approx(second.effective_sample_size)
        assert (first.cost.value, first.difference is None) == (
            pytest.approx(second.cost.value),
            second.difference is None,
        )


def test_values_on_a_log_do_not_depend_on_where_batches_end(log):
    one, other = (compare(POLICIES, LoggedData.stream(log, size), (0, 1), settings=QUICK) for size in (150, 300))
    _same(one, other)
    assert one.notes == other.notes
    assert one.n_rows == 900


def test_exact_values_do_not_depend_on_where_batches_end(full):
    one, other = (
        compare(POLICIES, FullInformationData.stream(full, size), (0,), settings=QUICK) for size in (120, 300)
    )
    _same(one, other)
    assert one["oracle"].value >= one["LinUCB"].value >= one["fixed"].value - 0.05


def test_a_stream_comes_near_what_all_rows_give(log):
    streamed = compare(POLICIES, LoggedData.stream(log, 300), (0, 1, 2), settings=QUICK)
    whole = compare(POLICIES, LoggedData.load(log), (0, 1, 2), settings=QUICK)
    assert streamed.best == whole.best
    for row in whole.rows:
        other = streamed.row(row.name, row.estimator)
        assert other.value == pytest.approx(row.value, abs=row.high - row.low)
        if row.name == "LinUCB":  # another division may have another best fixed arm
            assert other.high - other.low == pytest.approx(row.high - row.low, rel=0.5)


def test_rows_of_one_query_are_never_on_both_sides_of_any_batch(full, monkeypatch):
    learned, scored = set(), set()
    numbers = {row.tobytes(): query for row, query in zip(_rows().contexts, _rows().query_ids, strict=True)}

    class Spy(Uniform):
        def update(self, data):
            learned.update(numbers[row.tobytes()] for row in data.contexts)
            super().update(data)

        def fit(self, data):
            learned.update(numbers[row.tobytes()] for row in data.contexts)
            return super().fit(data)

        def probabilities(self, contexts, available=None):
            scored.update(numbers[row.tobytes()] for row in contexts)
            return super().probabilities(contexts, available)

    monkeypatch.setattr(Spy, "clone", lambda self: self)
    compare(Spy(), FullInformationData.stream(full, 100), (0,), settings=QUICK)
    assert len(learned) + len(scored) == 600
    assert not learned & scored
    assert len(scored) == pytest.approx(180, abs=40)


def test_an_executor_changes_nothing(log):
    stream = pickle.loads(pickle.dumps(LoggedData.stream(log, 300)))  # as it travels to processes
    with_workers = ComparisonSettings(
        train_shares=(0.5, 1.0), n_bootstrap=100, estimators=(SNIPS(), IPS()), executor=ThreadExecutor(2)
    )
    _same(compare(POLICIES, stream, (0, 1), settings=QUICK), compare(POLICIES, stream, (0, 1), settings=with_workers))


def test_the_best_policy_learns_from_all_rows_of_a_stream(log):
    stream = LoggedData.stream(log, 150)
    weighed = ComparisonSettings(train_shares=(1.0,), n_bootstrap=50, estimators=(DoublyRobust(),), cost_weight=0.1)
    found = compare({"LinUCB": LinUCB(prior_precision=2.0)}, stream, (0,), settings=weighed)
    best = found.fit_best({"LinUCB": LinUCB(prior_precision=2.0)}, stream)
    whole = found.fit_best({"LinUCB": LinUCB(prior_precision=2.0)}, LoggedData.load(log))
    np.testing.assert_allclose(best.predict(_rows().contexts)[0], whole.predict(_rows().contexts)[0], atol=1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"estimators": (Slope(),)}, "Slope cannot be used on a stream"),
        ({"by_segment": True}, "by_segment needs all rows at once"),
        ({"logging_policy": Uniform()}, "logging_policy needs all rows at once"),
    ],
)
def test_what_needs_all_rows_at_once_is_refused_by_name(log, settings, message):
    with pytest.raises(ValueError, match=message):
        compare(POLICIES, LoggedData.stream(log, 300), settings=ComparisonSettings(**settings))
