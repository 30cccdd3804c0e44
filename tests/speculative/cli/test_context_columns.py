"""Columns of a table are features on the command line, and mean the same to a policy in every table and choice."""

import csv
import json

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from bandits import HashingEncoder, from_long_table, load_policy
from bandits.data.io import TableLayout, to_pandas
from tests.support.command_runner import refused, run_cli


def write(path, *topics):
    """A table in which the arm "4" is best for maths and "3.5" for all else."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["query_id", "query", "topic", "age", "arm", "reward"])
        for number in range(24):
            topic = topics[number % len(topics)]
            for arm in ("3.5", "4"):
                reward = float((arm == "4") == (topic == "math"))
                rows.writerow([f"{number:03d}", f"text {number}", topic, number, arm, reward])
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("columns")
    train = write(folder / "train.csv", "code", "math")
    write(folder / "test.csv", "math")
    write(folder / "other.csv", "math", "prose")
    run_cli("train", train, "--out", folder / "columns", "--context-columns", "topic,age")
    settings = ("--context-columns", "topic", "--unknown-levels", "own_column", "--encoder", "hashing-8")
    run_cli("train", train, "--out", folder / "both", *settings)
    return folder


def value(place, table, policy):
    run_cli("evaluate", place / table, "--policy", place / policy, "--out", place / "evaluation")
    rows = json.loads((place / "evaluation" / "evaluation.json").read_text())["rows"]
    return next(row["value"] for row in rows if row["name"] == policy)


def test_a_policy_reads_every_table_by_the_columns_and_levels_that_it_learned_from(place):
    assert load_policy(place / "columns").arm_names == ("3.5", "4")
    assert value(place, "test.csv", "columns") == 1.0
    assert 0.5 <= value(place, "other.csv", "both") <= 1.0  # prose was never seen; it is read as a level of its own
    message = refused("evaluate", place / "other.csv", "--policy", place / "columns", "--out", place / "none")
    assert "column 'topic' must hold one of the levels code, math: row 2 has 'prose'" in message


def test_a_table_that_holds_the_contexts_of_the_policys_encoder_is_read_without_encoding(place, tmp_path):
    run_cli("train", place / "train.csv", "--out", tmp_path / "policy", "--encoder", "hashing-8")
    data = from_long_table(place / "train.csv", HashingEncoder(8), TableLayout(context_columns=()))
    long = to_pandas(data)
    assert {"context_0", "context_7"} <= set(long.columns)
    long.to_parquet(tmp_path / "encoded.parquet")
    assert value(tmp_path, "encoded.parquet", "policy") == data.value(load_policy(tmp_path / "policy"))


def test_compare_takes_columns(place, tmp_path):
    run_cli("compare", place / "train.csv", "--out", tmp_path, "--context-columns", "topic", "--seeds", 1)
    assert (tmp_path / "comparison.json").exists()


def chosen(place, policy, *arguments):
    return json.loads(run_cli("choose", "--policy", place / policy, *arguments).stdout)["arm"]


def test_a_choice_by_values_of_columns_is_that_of_their_features(place):
    assert chosen(place, "columns", "--context", '{"age": 3, "topic": "math"}') == "4"
    assert chosen(place, "columns", "--context", "[0, 1, 3]") == "4"
    assert chosen(place, "columns", "--context", "[1, 0, 3]") == "3.5"
    assert chosen(place, "both", "text 1", "--context", '{"topic": "poems"}') in ("3.5", "4")


@pytest.mark.parametrize(
    ("policy", "arguments", "message"),
    [
        ("columns", ("--context", '{"topic": "prose", "age": 3}'), "must hold one of the levels code, math"),
        ("columns", ("--context", '{"topic": "math"}'), "context column 'age' is missing"),
        ("columns", ("--context", '{"topic": "math", "age": "3"}'), "column 'age' must hold numbers"),
        ("columns", ("--context", '{"topic": "math", "age": 3, "n": 1}'), "--context names 'n'"),
        ("columns", ("hello",), "learned from the columns topic, age"),
        ("both", ("hello",), "give both TEXT and --context"),
        ("both", ("--context", '{"topic": "math"}'), "give both TEXT and --context"),
    ],
)
def test_a_context_that_says_too_little_or_too_much_is_refused(place, policy, arguments, message):
    assert message in refused("choose", "--policy", place / policy, *arguments)


def test_a_folder_as_hive_writes_it_is_a_table(place, tmp_path):
    table = arrow_csv.read_csv(
        place / "train.csv", convert_options=arrow_csv.ConvertOptions(column_types={"arm": pa.string()})
    )
    pq.write_to_dataset(table, tmp_path / "hive", partition_cols=["topic", "arm"])
    run_cli("train", tmp_path / "hive", "--out", tmp_path / "policy", "--context-columns", "topic,age")
    learned, expected = load_policy(tmp_path / "policy"), load_policy(place / "columns")
    assert learned.learned.encoder == expected.learned.encoder
    assert learned.arm_names == expected.arm_names


def test_a_folder_of_draftpick_is_never_read_as_a_table(tmp_path):
    (tmp_path / "traces").mkdir()
    for folder in (tmp_path, tmp_path / "traces"):  # what a stopped collection looks like
        pq.write_table(pa.table({"arm": ["a"], "reward": [1.0]}), folder / "part-00000.parquet")
        assert "is not closed" in refused("train", tmp_path, "--out", tmp_path / "policy")
    (tmp_path / "part-00000.parquet").unlink()
    (tmp_path / "collect.json").touch()
    assert "its collection was stopped" in refused("train", tmp_path, "--out", tmp_path / "policy")
