"""Tables as pandas, Spark, Hive, polars and databases write them are read rightly or refused."""

import os
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bandits import HashingEncoder, LinUCB, LoggedData, from_long_table
from bandits.data import parquet_file
from bandits.data.io import TableLayout
from bandits.data.io.table_files import read_table
from bandits.encoders import ColumnFeatures

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

    def test_naive_and_aware_ones_together_are_refused(self):
        with pytest.raises(ValueError, match="must state a zone in every row or in none, got 2026-01-01 in row 0 and"):
            self.logged(["2026-01-01", "2026-01-01T00:00:00Z"] * 2)


class TestLevels:
    """A text column means the same in every table of a policy."""

    LAYOUT = TableLayout(context_columns=["topic"])

    def table(self, *topics):
        rows = [(f"q{i}", topic, arm) for i, topic in enumerate(topics) for arm in ("big", "small")]
        ids, topic, arms = zip(*rows, strict=True)
        rewards = [float(arm == {"math": "big"}.get(topic, "small")) for _, topic, arm in rows]
        return pa.table({"query_id": ids, "topic": topic, "arm": arms, "reward": rewards})

    def policy(self, **options):
        layout = TableLayout(context_columns=["topic"], **options)
        return LinUCB(ucb_width=0.0).fit(from_long_table(self.table(*["code", "math"] * 20), layout=layout))

    @pytest.mark.parametrize("topics", [("math", "prose"), ("prose",), ("code", "math", "prose")])
    def test_a_table_of_other_levels_is_refused(self, topics):
        test = from_long_table(self.table(*topics), layout=self.LAYOUT)
        with pytest.raises(ValueError, match="must have contexts of one encoder"):
            test.value(self.policy())

    def test_a_policys_own_levels_read_any_table(self, tmp_path):
        policy = self.policy()
        features = ColumnFeatures.of_name(policy.learned.encoder)
        assert from_long_table(self.table("math"), layout=TableLayout(features=features)).value(policy) == 1.0
        with pytest.raises(
            ValueError, match=r"column 'topic' must hold one of the levels code, math: row 2 has 'prose'"
        ):
            from_long_table(self.table("math", "prose"), layout=TableLayout(features=features))

    def test_unknown_levels_have_a_column_of_their_own_where_asked(self):
        policy = self.policy(unknown_levels="own_column")
        features = ColumnFeatures.of_name(policy.learned.encoder)
        test = from_long_table(self.table("math", "prose", "poems"), layout=TableLayout(features=features))
        np.testing.assert_array_equal(test.contexts, [[0, 1, 0], [0, 0, 1], [0, 0, 1]])
        assert test.value(policy) >= 1 / 3

    def test_an_encoder_and_columns_stand_side_by_side(self):
        table = self.table("code", "math").append_column("query", pa.array(["one", "one", "two", "two"]))
        data = from_long_table(table, HashingEncoder(n_features=8), self.LAYOUT)
        assert data.n_features == 10
        np.testing.assert_array_equal(data.contexts[:, 8:], np.eye(2))
        assert data.encoder.startswith("hashing-8+columns:")

    def test_what_features_cannot_be_is_refused(self):
        with pytest.raises(ValueError, match="unknown must be"):
            ColumnFeatures({"a": None}, "drop")
        with pytest.raises(ValueError, match="at least one column"):
            ColumnFeatures({})
        with pytest.raises(ValueError, match="does not name features of columns"):
            ColumnFeatures.of_name("columns:[")
        assert ColumnFeatures.of_name("hashing-8") is ColumnFeatures.of_name(None) is None
        numbers = ColumnFeatures({"topic": None, "other": None})
        with pytest.raises(ValueError, match="column 'topic' must hold numbers, as where its features were fixed"):
            from_long_table(self.table("a"), layout=TableLayout(features=ColumnFeatures({"topic": None})))
        with pytest.raises(ValueError, match="no context column 'other'"):
            numbers.encode_columns({"topic": np.zeros(2)})
        with pytest.raises(ValueError, match="leave context_columns out"):
            TableLayout(features=numbers, context_columns=["topic"])


class TestArrays:
    def log(self, **changes):
        given = {
            "contexts": np.ones((4, 1)),
            "actions": np.array([0, 1, 0, 1]),
            "rewards": np.ones(4),
            "propensities": np.full(4, 0.5),
            "arm_names": ("a", "b"),
        }
        return LoggedData(**given | changes)

    @pytest.mark.parametrize("name", ["contexts", "actions", "rewards", "propensities", "times", "costs"])
    def test_masked_entries_are_never_read(self, name):
        values = np.ones((4, 1)) if name == "contexts" else np.ones(4, np.int64)
        mask = np.arange(4).reshape(values.shape) == 1
        with pytest.raises(ValueError, match=f"{name} must hold no masked entries, got 1"):
            self.log(**{name: np.ma.masked_array(values, mask)})
        self.log(**{name: np.ma.masked_array(values, False)})

    def test_a_set_of_arms_has_no_order(self):
        with pytest.raises(TypeError, match="arm_names must have an order, got a set"):
            self.log(arm_names={"a", "b"})

    def test_moments_are_seconds(self):
        moments = np.array(["1970-01-01", "1970-01-02", "1970-01-03", "1970-01-04"], "datetime64[ns]")
        assert self.log(times=moments).times.tolist() == [0.0, 86_400.0, 172_800.0, 259_200.0]
        with pytest.raises(ValueError, match="times must be finite: row 1"):
            self.log(times=np.array(["1970-01-01", "NaT", "1970-01-01", "1970-01-01"], "datetime64[s]"))
        with pytest.raises(TypeError, match="rewards must be numbers, got datetime64"):
            self.log(rewards=moments)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
    def test_times_since_1970_that_float32_cannot_tell_apart_are_refused(self, dtype):
        seconds = (1_790_000_000 + np.arange(4)[:, None] * 90).astype(dtype)
        with pytest.raises(ValueError, match=r"contexts, column 0: float32 cannot tell values from 17900000\d\d to"):
            self.log(contexts=seconds)

    def test_large_values_that_differ_enough_are_read(self):
        self.log(contexts=np.array([[1.7e9], [1.75e9], [1.8e9], [1.79e9]]))
        self.log(contexts=np.full((4, 1), 1.79e9))

    def test_sparse_contexts_say_how_to_be_dense(self):
        sparse = pytest.importorskip("scipy.sparse")
        with pytest.raises(TypeError, match=r"must be a dense array, got a sparse csr_array: pass .toarray\(\)"):
            self.log(contexts=sparse.csr_array(np.ones((4, 1))))
