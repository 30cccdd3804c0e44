"""Tables as pandas, Spark, Hive, polars and databases write them are read rightly or refused."""

import os
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bandits import from_long_table
from bandits.data import parquet_file
from bandits.data.io.table_files import read_table

TABLE = pa.table(
    {
        "query_id": ["a", "a", "b", "b"],
        "domain": ["math", "math", "code", "code"],
        "arm": ["x", "y", "x", "y"],
        "reward": [1.0, 0.0, 1.0, 0.5],
        "context_0": [1.0, 1.0, 2.0, 2.0],
    }
)


def same(data):
    expected = from_long_table(TABLE)
    assert data.arm_names == expected.arm_names
    order = [data.query_ids.index(key) for key in expected.query_ids]
    assert [data.domains[row] for row in order] == list(expected.domains)
    np.testing.assert_array_equal(data.rewards[order], expected.rewards)
    np.testing.assert_array_equal(data.contexts[order], expected.contexts)
    return True


def changed(name, column):
    return TABLE.set_column(TABLE.schema.get_field_index(name), name, column)


@pytest.mark.parametrize("kind", [pa.string_view(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
@pytest.mark.parametrize("name", ["arm", "query_id", "domain"])
def test_text_is_text_however_it_is_stored(tmp_path, kind, name):
    table = changed(name, TABLE[name].cast(kind))
    assert same(from_long_table(table))
    pq.write_table(table, tmp_path / "table.parquet")
    assert same(from_long_table(tmp_path / "table.parquet"))


def test_runs_are_unrolled():
    ends = pa.array([1, 2, 3, 4], pa.int32())
    for name in ("arm", "reward"):
        runs = pa.RunEndEncodedArray.from_arrays(ends, TABLE[name].combine_chunks())
        assert same(from_long_table(changed(name, runs)))


@pytest.mark.parametrize("arms", [("3.5", "4"), ("true", "false"), ("1e3", "2e3"), ("+7", "7")])
def test_names_and_ids_in_a_csv_file_or_a_folders_name_are_what_is_written(tmp_path, arms):
    lines = [f"{arm},1,{query},2" for query in ("1e5", "+1", "1") for arm in arms]
    (tmp_path / "table.csv").write_text("\n".join(["arm,reward,query_id,context_0", *lines]))
    data = from_long_table(tmp_path / "table.csv")
    assert set(data.arm_names) == set(arms)
    assert data.query_ids == ("1e5", "+1", "1")
    pq.write_to_dataset(read_table(tmp_path / "table.csv", ["arm", "query_id"]), tmp_path / "hive", ["arm"])
    assert set(from_long_table(tmp_path / "hive").arm_names) == set(arms)


def test_decimals_and_dictionaries_of_numbers_are_numbers():
    decimals = pa.array([Decimal("1.0"), Decimal("0.0"), Decimal("1.0"), Decimal("0.5")])
    assert same(from_long_table(changed("reward", decimals)))
    assert same(from_long_table(changed("reward", TABLE["reward"].dictionary_encode())))


def test_arms_that_are_numbers_stand_in_their_order():
    assert from_long_table(changed("arm", pa.array([10, 9, 10, 9]))).arm_names == ("9", "10")
    assert from_long_table(changed("arm", pa.array([10, 9, 10, 9]).dictionary_encode())).arm_names == ("9", "10")


def test_an_index_of_a_frame_is_a_column():
    pandas = pytest.importorskip("pandas")
    frame = TABLE.to_pandas()
    assert same(from_long_table(frame.set_index("query_id")))
    assert same(from_long_table(frame.set_index(["query_id", "arm"])))
    assert same(from_long_table(frame.set_index(pandas.Index([7, 7, 8, 9], name="query_id"))))  # the column counts
    assert same(from_long_table(frame.sample(frac=1, random_state=0)))


def test_an_index_that_holds_text_and_has_no_name_is_refused():
    pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="the frame's index has no name and holds text, such as 'w'"):
        from_long_table(TABLE.to_pandas().set_axis(list("wxyz")))


def test_columns_of_mixed_kinds_and_of_one_name_are_refused():
    pandas = pytest.importorskip("pandas")
    frame = TABLE.to_pandas()
    with pytest.raises(ValueError, match=r"must each hold values of one kind.*arm"):
        from_long_table(frame.assign(arm=["x", 1, "x", 1]))
    with pytest.raises(ValueError, match=r"(?i)duplicate column names"):
        from_long_table(pandas.concat([frame, frame[["reward"]]], axis=1))
    with pytest.raises(ValueError, match="columns must have names that differ, got 'reward' twice"):
        from_long_table(TABLE.append_column("reward", TABLE["reward"]))
    with pytest.raises(ValueError, match="reward must hold no masked entries, got 1"):
        from_long_table({**TABLE.to_pydict(), "reward": np.ma.masked_array([1.0, -999.0, 1, 0], [0, 1, 0, 0])})


@pytest.mark.parametrize("name", ["domain", "arm"])
def test_folders_called_after_a_value_are_a_column(tmp_path, name):
    pq.write_to_dataset(TABLE, tmp_path, partition_cols=[name])
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".part-0.parquet.crc").write_bytes(b"x")
    assert same(from_long_table(tmp_path))


def test_values_in_folder_names_keep_what_was_written(tmp_path):
    for value in ("007", "a%2Fb", "__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / f"source={value}").mkdir()
        pq.write_table(TABLE, tmp_path / f"source={value}" / "part-0.parquet")
    assert set(read_table(tmp_path)["source"].to_pylist()) == {"007", "a/b", None}


def test_folders_that_mean_nothing_or_two_things_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no Parquet file"):
        read_table(tmp_path)
    for name, message in (("2026", "which is not NAME=VALUE"), ("arm=x", "has a column 'arm', and so has its folder")):
        (tmp_path / name / name).mkdir(parents=True)
        pq.write_table(TABLE, tmp_path / name / name / "part-0.parquet")
        with pytest.raises(ValueError, match=message):
            read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["pipe.parquet", "pipe.csv", "pipe.jsonl"])
def test_a_pipe_is_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match="must be a file, got a pipe"):
        read_table(tmp_path / name)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(np.zeros(3_000_000)),
        pa.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), ["long " * 1000]).cast(pa.string()),
    ],
    ids=["numbers", "texts"],
)
def test_a_small_file_that_unfolds_to_far_more_is_refused(tmp_path, monkeypatch, column):
    monkeypatch.setattr(parquet_file, "MOST_BYTES", 2**20)
    pq.write_table(pa.table({"reward": column}), tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 100_000
    with pytest.raises(ValueError, match=r"bomb.parquet must unfold to at most .* bytes at once, 200 times its size"):
        read_table(tmp_path / "bomb.parquet")


def test_a_table_of_ordinary_size_is_read_whatever_it_holds(tmp_path):
    pq.write_table(pa.table({"a": ["same text"] * 300_000, "b": np.zeros(300_000)}), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").num_rows == 300_000


class TestTimes:
    def logged(self, times):
        return from_long_table({**TABLE.to_pydict(), "propensity": [0.5] * 4, "time": times}).times.tolist()

    def test_naive_ones_do_not_depend_on_the_machines_zone(self):
        assert self.logged(["1970-01-01T00:00:01"] * 4) == [1.0] * 4
        assert self.logged(pa.array([10**9] * 4, pa.int64()).cast(pa.timestamp("ns"))) == [1.0] * 4

    def test_zones_count(self):
        assert self.logged(["1970-01-01T02:00:01+02:00", "1970-01-01T00:00:01Z"] * 2) == [1.0] * 4
        moments = pa.array([1, 2, 3, 4], pa.int64()).cast(pa.timestamp("s", tz="Europe/Berlin"))
        assert self.logged(moments) == [1.0, 2.0, 3.0, 4.0]

    def test_dates_are_midnights(self):
        assert self.logged([date(1970, 1, 2)] * 4) == [86_400.0] * 4
        assert self.logged(["1.5", "2", "3", "4"]) == [1.5, 2.0, 3.0, 4.0]

    def test_naive_and_aware_objects_together_are_refused(self):
        moments = [datetime(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)] * 2
        with pytest.raises(ValueError, match="column 'time' must state a zone in every row or in none"):
            self.logged(moments)
        pandas = pytest.importorskip("pandas")
        frame = TABLE.to_pandas().assign(propensity=0.5, time=pandas.Series(moments, dtype=object))
        with pytest.raises(ValueError, match="column 'time' must state a zone in every row or in none"):
            from_long_table(frame)

    def test_what_is_no_moment_is_refused(self):
        pandas = pytest.importorskip("pandas")
        frame = TABLE.to_pandas().assign(propensity=0.5)
        for times in (pandas.period_range("2026-01-01", periods=4), pandas.to_timedelta([1, 2, 3, 4])):
            with pytest.raises(ValueError, match="column 'time' must hold numbers, got"):
                from_long_table(frame.assign(time=times))

    def test_naive_and_aware_ones_together_are_refused(self):
        with pytest.raises(ValueError, match="must state a zone in every row or in none, got 2026-01-01 in row 0 and"):
            self.logged(["2026-01-01", "2026-01-01T00:00:00Z"] * 2)
