"""Data larger than memory: batches of bounded size, and fits that never hold more."""

import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from bandits import (
    UCB1,
    BestFixedArm,
    EpsilonGreedy,
    FullInformationData,
    LinTS,
    LinUCB,
    LoggedData,
    Uniform,
)
from bandits.data.parquet_file import ROW_GROUP_ROWS
from bandits.testing import example_data, example_log


@pytest.fixture
def folder(tmp_path):
    """A folder of 30 parts of 60 rows."""
    for part in range(30):
        example_data().log_with(Uniform(), np.random.default_rng(part)).write_part(tmp_path, part)
    LoggedData.close_folder(tmp_path)
    return tmp_path


def test_headers_tell_what_is_there_without_rows(folder):
    stream = LoggedData.stream(folder, batch_rows=7)
    assert (stream.n_rows, stream.n_features, stream.arm_names) == (1800, 5, example_log().arm_names)


def test_batches_are_bounded_and_hold_every_row_in_order(folder):
    stream = LoggedData.stream(folder, batch_rows=7)
    whole = LoggedData.load(folder)
    for _ in range(2):  # iterated as often as wanted
        batches = list(stream)
        assert max(len(batch) for batch in batches) == 7
        np.testing.assert_array_equal(np.concatenate([batch.rewards for batch in batches]), whole.rewards)
        np.testing.assert_array_equal(np.concatenate([batch.contexts for batch in batches]), whole.contexts)


@pytest.mark.parametrize(
    "make", [LinUCB, LinTS, BestFixedArm, UCB1, lambda: EpsilonGreedy(LinUCB(arm_names=("arm_a", "arm_b", "arm_c")))]
)
def test_a_streamed_fit_is_the_fit_to_all_rows(folder, make):
    whole = LoggedData.load(folder)
    streamed = make().fit_stream(LoggedData.stream(folder, batch_rows=50))
    fitted = make().fit(whole)
    assert streamed.arm_names == fitted.arm_names
    np.testing.assert_allclose(streamed.probabilities(whole.contexts), fitted.probabilities(whole.contexts), atol=1e-9)


def test_a_folder_beyond_a_bound_is_never_concatenated(folder, monkeypatch):
    largest = 0
    learn = LinUCB.update

    def watched(policy, data):
        nonlocal largest
        largest = max(largest, len(data))
        learn(policy, data)

    def refuse(*_):
        raise AssertionError("a stream must not be joined")

    monkeypatch.setattr(LoggedData, "concat", refuse)
    monkeypatch.setattr(LinUCB, "update", watched)
    policy = LinUCB().fit_stream(LoggedData.stream(folder, batch_rows=40))
    assert largest == 40 < LoggedData.stream(folder).n_rows
    assert policy.learned.per_arm["row_weight"].sum() == 1800


def test_a_stream_starts_with_the_arms_of_all_parts(tmp_path):
    data = example_data()
    data.select_arms(data.arm_names[:1]).write_part(tmp_path, 0)
    data.write_part(tmp_path, 1)
    FullInformationData.close_folder(tmp_path)
    stream = FullInformationData.stream(tmp_path)
    assert [part.arm_names for part in stream] == [data.arm_names] * 2
    policy = LinUCB().fit_stream(stream)
    np.testing.assert_allclose(
        policy.probabilities(data.contexts),
        LinUCB().fit(FullInformationData.load(tmp_path)).probabilities(data.contexts),
        atol=1e-9,
    )


def test_parts_that_do_not_fit_together_are_refused_before_a_row_is_read(tmp_path):
    data = example_data()
    data.write_part(tmp_path, 0)
    FullInformationData(data.contexts[:, :2], data.rewards, data.arm_names).write_part(tmp_path, 1)
    with pytest.raises(ValueError, match=r"part-00001.*2 features"):
        FullInformationData.close_folder(tmp_path)
    data.save(tmp_path / "whole")
    with pytest.raises(ValueError, match="batch_rows"):
        FullInformationData.stream(tmp_path / "whole", batch_rows=0)


def test_a_part_without_a_column_is_named(tmp_path):
    log = example_log()
    path = log.write_part(tmp_path, 0)
    pq.write_table(pq.read_table(path).drop_columns(["rewards"]), path)
    LoggedData.close_folder(tmp_path)
    with pytest.raises(ValueError, match=r"part-00000.*the column 'rewards' is missing; there are context, "):
        LoggedData.load(tmp_path)


def test_memory_of_a_stream_does_not_grow_with_its_parts(tmp_path):
    rng = np.random.default_rng(0)
    n_rows, n_features = 5 * ROW_GROUP_ROWS, 50
    rows = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    log = LoggedData(rows, rng.integers(2, size=n_rows), rng.random(n_rows), np.full(n_rows, 0.5), ("a", "b"))
    log.save(tmp_path)
    code = f"""
import pyarrow
from bandits import LoggedData
n_read = sum(len(batch) for batch in LoggedData.stream({str(tmp_path)!r}, batch_rows=1_000))
print(n_read, pyarrow.default_memory_pool().max_memory())
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    n_read, most = map(int, out.split())
    row_group = ROW_GROUP_ROWS * (n_features * 4 + 3 * 8)  # contexts, actions, rewards, propensities
    assert n_read == n_rows
    assert most < 2 * row_group  # of five in the part


def test_estimated_propensities_stay_marked_on_disk(tmp_path):
    log = example_log()
    marked = LoggedData(
        log.contexts, log.actions, log.rewards, log.propensities, log.arm_names, propensities_estimated=True
    )
    marked.save(tmp_path)
    assert LoggedData.load(tmp_path).propensities_estimated
    assert next(iter(LoggedData.stream(tmp_path, 3))).propensities_estimated
    assert marked.subset([0, 1]).propensities_estimated
    assert LoggedData.concat([marked, marked]).propensities_estimated
    assert not log.propensities_estimated
