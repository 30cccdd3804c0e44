"""Long tables, frames and Open Bandit Pipeline's dictionary: what is read, and what is refused."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bandits import FullInformationData, HashingEncoder, LoggedData, Uniform, from_long_table, from_pandas
from bandits.data import DeterministicLogWarning, arm_frequencies, estimate_propensities
from bandits.data.io import TableLayout, from_open_bandit, to_open_bandit, to_pandas
from bandits.testing import example_data, example_log

NAN = float("nan")


def table(**changes):
    columns = {
        "query_id": ["q1", "q1", "q2", "q2"],
        "domain": ["maths", "maths", "code", "code"],
        "query": ["one and one", "one and one", "def f", "def f"],
        "arm": ["big", "small", "small", "big"],
        "reward": [1.0, 0.0, 0.5, 1.0],
        "cost": [3.0, 1.0, 1.5, 2.0],
    }
    columns |= changes
    return {name: values for name, values in columns.items() if values is not None}


def decisions(**changes):
    return table(query_id=["a", "b", "c", "d"], query=None, context_0=[0.0, 1, 2, 3], propensity=[0.5] * 4, **changes)


def test_full_information_is_joined_by_query():
    data = from_long_table(table(), HashingEncoder(8))
    assert isinstance(data, FullInformationData)
    assert (data.arm_names, data.query_ids, data.domains) == (("big", "small"), ("q1", "q2"), ("maths", "code"))
    np.testing.assert_array_equal(data.rewards, [[1, 0], [1, 0.5]])
    np.testing.assert_array_equal(data.costs, [[3, 1], [2, 1.5]])
    np.testing.assert_array_equal(data.contexts, HashingEncoder(8).encode(["one and one", "def f"]))
    assert data.encoder == "hashing-8"


def test_a_missing_row_is_an_unobserved_arm():
    ragged = {name: values[:3] for name, values in table(cost=[NAN] * 4).items()}
    data = from_long_table(ragged, HashingEncoder(8))
    np.testing.assert_array_equal(data.observed_mask, [[True, True], [False, True]])
    assert data.costs is None


FLAGS = {"text": ["true", "false", "true", "true"], "a share": [1.0, 0.2, 1.0, 1.0], "a count": [1, 2, 1, 1]}


@pytest.mark.parametrize("values", FLAGS.values(), ids=FLAGS)
def test_a_column_of_flags_takes_nothing_but_true_and_false(values):
    with pytest.raises(TypeError, match=r"column 'available_big' must hold true and false, or 0 and 1: row \d is "):
        from_long_table(decisions(available_big=values, available_small=[True] * 4))
    with pytest.raises(TypeError, match=r"column 'propensity_estimated' must hold true and false.*: row \d is "):
        from_long_table(decisions(propensity_estimated=values))


@pytest.mark.parametrize("kind", [bool, int, float])
def test_zero_and_one_are_flags_as_true_and_false_are(kind):
    log = from_long_table(
        decisions(
            available_big=[kind(x) for x in (1, 0, 0, 1)],
            available_small=[kind(1)] * 4,
            propensity_estimated=[kind(0)] * 4,
        )
    )
    np.testing.assert_array_equal(log.available, [[1, 1], [0, 1], [0, 1], [1, 1]])
    assert not log.propensities_estimated


def test_flags_of_a_csv_file_are_true_and_false_as_it_writes_them(tmp_path):
    rows = "arm,reward,propensity,context_0,available_a,available_b\na,1,0.5,1,true,{}\na,0,0.5,2,TRUE,true\n"
    (tmp_path / "log.csv").write_text(rows.format("False"))
    log = from_long_table(tmp_path / "log.csv", layout=TableLayout(arm_names=("a", "b")))
    np.testing.assert_array_equal(log.available, [[True, False], [True, True]])
    (tmp_path / "log.csv").write_text(rows.format("no"))
    with pytest.raises(TypeError, match="column 'available_b' must hold true and false, or 0 and 1: row 0 is 'no'"):
        from_long_table(tmp_path / "log.csv", layout=TableLayout(arm_names=("a", "b")))


def test_a_number_beyond_float64_in_a_table_is_refused(tmp_path):
    (tmp_path / "log.jsonl").write_text(
        '{"arm": "a", "reward": 1%s, "propensity": 0.5, "context_0": 1}\n' % ("0" * 400)
    )
    with pytest.raises(ValueError, match="the values of 'reward' must be of one kind"):
        from_long_table(tmp_path / "log.jsonl")
    with pytest.raises(ValueError, match="the table's columns must each hold values of one kind"):
        from_long_table(decisions(reward=[10**400, 1, 0, 1]))


def test_rows_with_propensity_are_a_log():
    log = from_long_table(decisions(time=["2024-01-01T00:00:00+00:00"] * 4))
    assert isinstance(log, LoggedData)
    assert log.actions.tolist() == [0, 1, 1, 0]
    assert not log.propensities_estimated
    assert log.times.tolist() == [1704067200.0] * 4
    named = from_long_table(decisions(), layout=TableLayout(arm_names=("small", "big", "never")))
    assert (named.actions.tolist(), named.n_arms) == ([1, 0, 0, 1], 3)


def test_a_parquet_file_with_other_names_and_categories(tmp_path):
    columns = decisions(who=["x", "y", "x", "x"])
    columns["pscore"] = columns.pop("propensity")
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    layout = TableLayout(columns={"propensity": "pscore"}, context_columns=("context_0", "who"))
    log = from_long_table(tmp_path / "log.parquet", layout=layout)
    np.testing.assert_array_equal(log.contexts, [[0, 1, 0], [1, 0, 1], [2, 1, 0], [3, 1, 0]])


def test_missing_propensities_are_estimated_only_when_asked():
    rng = np.random.default_rng(0)
    columns = {
        "query_id": [f"q{i}" for i in range(200)],
        "arm": rng.choice(["a", "b"], 200).tolist(),
        "reward": rng.random(200).tolist(),
        "context_0": rng.random(200).tolist(),
    }
    with pytest.raises(ValueError, match="ask for estimated ones"):
        from_long_table(columns)
    log = from_long_table(columns, propensities="estimated")
    assert log.propensities_estimated
    assert 0.3 < log.propensities.min() <= log.propensities.max() < 0.7
    with pytest.raises(ValueError, match="holds propensities"):
        from_long_table(decisions(), propensities="estimated")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (table(reward=None), "column 'reward'"),
        (table(arm=None), "column 'arm'"),
        (table(reward=[1.0, None, 1.0, 1.0]), "row 1 has no reward"),
        (table(reward=[1.0, 2.0, float("inf"), 1.0]), "row 2 is inf"),
        (table(reward=["x"] * 4), "column 'reward' must hold numbers"),
        (table(cost=[1.0, 1.0, NAN, 1.0]), "row 2 has no cost"),
        (table(arm=["big", "big", "small", "big"]), "rows 0 and 1 both hold query 'q1' with arm 'big'"),
        (table(query=["one", "two", "x", "x"]), "row 1 differs from row 0"),
        (table(domain=["maths", "code", "code", "code"]), "'q1' must have one domain: row 1 differs from row 0"),
        (table(query=["one", "one", " ", " "]), "row 2 has no query text"),
        (table(query=None), "column 'query'"),
        (table(query_id=None), "column 'query_id'"),
        (table(query_id=["q1", None, "q2", "q2"]), "row 1 has no query_id"),
        ({name: [] for name in table()}, "at least one row"),
    ],
)
def test_bad_tables_are_refused_by_row_and_value(columns, message):
    with pytest.raises(ValueError, match=message):
        from_long_table(columns, HashingEncoder(8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"propensity": [0.5, 0.5, 0.0, 0.5]}, "row 2 is 0.0"),
        ({"propensity": [0.5, 1.5, 0.5, 0.5]}, "row 1 is 1.5"),
        ({"propensity": [0.5, None, 0.5, 0.5]}, "row 1 has no propensity"),
        ({"context_0": None}, "context columns"),
        ({"context_0": [1.0, NAN, 0.0, 0.0]}, "row 1 has no context_0"),
        ({"available_big": [True] * 4}, "no column 'available_small', but that of another arm"),
        ({"available_big": [True] * 4, "available_small": [True, None, True, True]}, "row 1 has no available_small"),
        ({"probability_big": [0.5] * 4, "probability_small": [0.5, 0.5, None, 0.5]}, "row 2 has no probability_small"),
    ],
)
def test_bad_logs_are_refused_by_row_and_value(changes, message):
    columns = {name: values for name, values in {**decisions(), **changes}.items() if values is not None}
    with pytest.raises(ValueError, match=message):
        from_long_table(columns)


def test_wrong_layouts_and_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown role 'score'"):
        TableLayout(columns={"score": "x"})
    with pytest.raises(ValueError, match="no column 'x'"):
        from_long_table(decisions(), layout=TableLayout(columns={"reward": "x"}))
    with pytest.raises(ValueError, match="row 0 has arm 'big'"):
        from_long_table(decisions(), layout=TableLayout(arm_names=("small",)))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        from_long_table(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        from_long_table(tmp_path / "bad.parquet")


@pytest.mark.parametrize("data", [replace(example_data(), times=np.arange(len(example_data()))), example_log()])
def test_frames_bring_everything_back(data):
    pytest.importorskip("pandas")
    again = from_pandas(to_pandas(data))
    assert type(again) is type(data)
    for name in ("arm_names", "query_ids", "domains", "encoder"):
        assert getattr(again, name) == getattr(data, name)
    numbers = "contexts rewards costs times observed actions propensities action_probabilities"
    for name in numbers.split():
        np.testing.assert_array_equal(getattr(again, name, None), getattr(data, name, None))


def test_a_query_is_of_the_time_of_its_earliest_row():
    table = {"query_id": ["q", "q", "r", "r"], "arm": ["a", "b"] * 2, "reward": [1.0] * 4, "context_0": [1.0] * 4}
    data = from_long_table(table | {"time": [7.0, 5.0, 6.0, 9.0]})
    assert data.times.tolist() == [5.0, 6.0]


def test_a_frame_keeps_that_propensities_were_estimated():
    pytest.importorskip("pandas")
    log = example_log()
    marked = LoggedData(
        log.contexts, log.actions, log.rewards, log.propensities, log.arm_names, propensities_estimated=True
    )
    assert from_pandas(to_pandas(marked)).propensities_estimated


def test_estimated_propensities_stay_marked_in_a_file_made_from_a_frame(tmp_path):
    pytest.importorskip("pandas")
    frame = to_pandas(estimate_propensities(example_log()))
    frame.attrs.clear()  # most formats drop them
    frame.to_parquet(tmp_path / "log.parquet")
    assert from_long_table(tmp_path / "log.parquet").propensities_estimated
    assert from_pandas(frame).propensities_estimated
    assert "propensity_estimated" not in to_pandas(example_log())


def test_a_query_with_two_rows_has_no_frame():
    pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="query 'a' has two rows"):
        to_pandas(FullInformationData(np.eye(2), np.eye(2), ("x", "y"), query_ids=["a", "a"]))


def test_open_bandit_dictionary_round_trip():
    log = example_log()
    feedback = to_open_bandit(log)
    assert (feedback["n_rounds"], feedback["n_actions"], feedback["pi_b"].shape) == (60, 3, (60, 3, 1))
    again = from_open_bandit(feedback, log.arm_names)
    for name in ("contexts", "actions", "rewards", "propensities", "action_probabilities"):
        np.testing.assert_array_equal(getattr(again, name), getattr(log, name))


def test_open_bandit_positions_become_features():
    feedback = to_open_bandit(example_log()) | {"position": np.arange(60) % 3}
    log = from_open_bandit(feedback)
    assert (log.n_features, log.arm_names) == (8, ("0", "1", "2"))
    np.testing.assert_array_equal(log.contexts[:, 5:].argmax(axis=1), np.arange(60) % 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pscore": None}, "no pscore"),
        ({"pscore": np.zeros(60)}, "row 0 is 0.0"),
        ({"action": np.full(60, 7)}, "row 0 is 7"),
        ({"n_rounds": 59}, r"shape \(59, any\)"),
        ({"n_actions": 0}, "n_actions must be"),
        ({"reward": np.full(60, np.nan)}, "row 0 is nan"),
    ],
)
def test_bad_open_bandit_dictionaries_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        from_open_bandit(to_open_bandit(example_log()) | changes)


def test_open_bandit_dictionary_needs_its_keys_and_holds_no_availability():
    with pytest.raises(ValueError, match="key 'pscore'"):
        from_open_bandit({key: value for key, value in to_open_bandit(example_log()).items() if key != "pscore"})
    ragged = FullInformationData(np.eye(2), np.eye(2), ("x", "y"), observed=[[True, False], [True, True]])
    with pytest.raises(ValueError, match="available"):
        to_open_bandit(ragged.log_with(Uniform(), np.random.default_rng(0)))


def test_estimated_propensities_stay_marked_through_open_bandits_dictionary():
    log = estimate_propensities(example_log())
    assert from_open_bandit(to_open_bandit(log)).propensities_estimated
    assert not from_open_bandit(to_open_bandit(example_log())).propensities_estimated


def test_a_deterministic_log_that_is_imported_is_warned_about():
    certain = {**decisions(), "propensity": [1.0] * 4}
    with pytest.warns(DeterministicLogWarning, match="cannot say"):
        assert from_long_table(certain).deterministic
    feedback = to_open_bandit(example_log()) | {"pscore": np.ones(60), "pi_b": None}
    with pytest.warns(DeterministicLogWarning, match="cannot say"):
        assert from_open_bandit(feedback).deterministic
    no_choice = {"available_big": [True, False] * 2, "available_small": [False, True] * 2}
    assert not from_long_table({**certain, **no_choice, "arm": ["big", "small"] * 2}).deterministic
    assert not from_long_table({**decisions(), "propensity": [1.0, 1.0, 1.0, 0.5]}).deterministic


def test_arm_frequencies():
    np.testing.assert_array_equal(arm_frequencies(np.array([0, 0, 2, 0]), 3), [0.75, 0, 0.25])


def test_context_columns_are_marked_with_the_encoder_that_made_them():
    columns = decisions()
    data = from_long_table(columns, layout=TableLayout(encoder="mine-1"))
    assert data.encoder == "mine-1"
    assert from_pandas(to_pandas(data)).encoder == "mine-1"
    assert from_pandas(to_pandas(data), TableLayout(encoder="other")).encoder == "other"
    assert from_long_table(columns).encoder is None


@pytest.mark.parametrize("given", [[{"arm": "a"}], None, 3, np.zeros(3, [("arm", "U1"), ("reward", float)])])
def test_what_is_no_table_is_one_error(given):
    with pytest.raises(TypeError, match=f"table must be a file's path, .* by name, got {type(given).__name__}"):
        from_long_table(given)


def test_one_column_of_a_frame_is_no_table_and_a_record_batch_is_one():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(TypeError, match=r"table must be a file's path, .* by name, got Series"):
        from_long_table(pandas.Series([1.0, 2.0]))
    whole = pa.table(decisions())
    np.testing.assert_array_equal(from_long_table(whole.to_batches()[0]).rewards, from_long_table(whole).rewards)


@pytest.mark.parametrize("columns", [{"reward": "propensity"}, {"cost": "x", "time": "x"}, {"arm": "reward"}])
def test_one_column_is_never_read_in_two_roles(columns):
    with pytest.raises(ValueError, match=r"columns: \w+ and \w+ would both be the column '\w+': rename it"):
        TableLayout(columns=columns)
    TableLayout(columns={"query_id": "prompt", "query": "prompt"})
