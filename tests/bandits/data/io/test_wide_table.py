"""A wide table is read as the long one that says the same."""

import numpy as np
import pytest

from bandits import FullInformationData, HashingEncoder
from bandits.data.io import TableLayout, from_wide_table

TABLE = {
    "sample_id": ["a", "b", "c"],
    "prompt": ["x", "y", "z"],
    "eval_name": ["mmlu", "mmlu", "gsm8k"],
    "gpt-4": [1.0, None, 1.0],
    "mixtral": [0.5, 0.0, 0.25],
    "gpt-4|total_cost": [0.01, None, 0.03],
    "mixtral|total_cost": [0.001, 0.002, 0.003],
}
LAYOUT = TableLayout(columns={"query_id": "sample_id", "query": "prompt", "domain": "eval_name"})
ARMS = ("mixtral", "gpt-4")


def test_one_row_a_query_and_a_column_an_arm():
    data = from_wide_table(TABLE, ARMS, HashingEncoder(8), LAYOUT, cost_suffix="|total_cost")
    assert data.arm_names == ARMS
    assert data.query_ids == ("a", "b", "c")
    assert data.domains == ("mmlu", "mmlu", "gsm8k")
    np.testing.assert_array_equal(data.rewards, [[0.5, 1.0], [0.0, np.nan], [0.25, 1.0]])
    np.testing.assert_array_equal(data.costs, [[0.001, 0.01], [0.002, np.nan], [0.003, 0.03]])
    np.testing.assert_array_equal(data.contexts, HashingEncoder(8).encode(["x", "y", "z"]))
    assert from_wide_table(TABLE, ARMS, HashingEncoder(8), LAYOUT).costs is None


def test_the_columns_that_have_costs_are_the_arms():
    data = from_wide_table(TABLE, None, HashingEncoder(8), LAYOUT, cost_suffix="|total_cost")
    assert data.arm_names == ("gpt-4", "mixtral")
    for suffix, message in ((None, "name the columns that are arms"), ("|price", r"no column .* \(NAME\|price\)")):
        with pytest.raises(ValueError, match=message):
            from_wide_table(TABLE, None, HashingEncoder(8), LAYOUT, cost_suffix=suffix)


def test_ids_and_domains_of_a_file_are_text_as_written(tmp_path):
    file = tmp_path / "wide.csv"
    file.write_text("query_id,domain,context_0,a,b\n1e3,1.50,0,1,0\n1000,1.5,1,0,1\n")
    data = from_wide_table(file, ("a", "b"))
    assert data.query_ids == ("1e3", "1000")
    assert data.domains == ("1.50", "1.5")


def test_without_ids_each_row_is_a_query_named_by_its_content():
    table = {"context_0": [0.0, 0.0, 1.0], "a": [1.0, None, 0.0], "b": [0.0, 1.0, 1.0]}
    data = from_wide_table(table, ("a", "b"))
    first, second, third = data.query_ids
    assert len({first, second, third}) == 3
    assert second == f"{first}-2"
    other = from_wide_table({"context_0": [1, 7], "a": [0.5, 0.5], "b": [0.5, 0.5]}, ("a", "b"))
    assert other.query_ids[0] == third
    assert len(set(FullInformationData.concat([data, other]).query_ids)) == 4
    np.testing.assert_array_equal(data.rewards, [[1.0, 0.0], [np.nan, 1.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match=r"no column 'id' \(for query_id\)"):
        from_wide_table(table, ("a", "b"), layout=TableLayout(columns={"query_id": "id"}))


@pytest.mark.parametrize(
    ("table", "arms", "suffix", "message"),
    [
        (TABLE, ("gpt-5",), None, "the table has no column 'gpt-5'; it has sample_id, prompt"),
        (TABLE, ARMS, "|cost", r"the table has no column 'mixtral\|cost'"),
        (TABLE | {"arm": ["x"] * 3}, ARMS, None, "has a column 'arm', as a long one has"),
        (TABLE | {"propensity": [0.5] * 3}, ARMS, None, "has propensities, as a log has"),
        (TABLE | {"mixtral": ["good"] * 3}, ("mixtral",), None, "column 'mixtral' must hold numbers"),
        (TABLE | {"mixtral": ["good"] * 3}, ARMS, None, "column 'mixtral' must hold numbers"),
        (TABLE | {"mixtral": [1.0, None, 0.0]}, ARMS, None, "row 1 must have a reward of at least one arm, got none"),
    ],
)
def test_what_is_no_wide_table_is_refused(table, arms, suffix, message):
    with pytest.raises(ValueError, match=message):
        from_wide_table(table, arms, HashingEncoder(8), LAYOUT, cost_suffix=suffix)


def test_a_truth_beside_numbers_is_a_reward_of_zero_or_one():
    table = {"context_0": [0.0, 1.0], "a": [True, False], "b": [0.5, 1.0]}
    np.testing.assert_array_equal(from_wide_table(table, ("a", "b")).rewards, [[1.0, 0.5], [0.0, 1.0]])


def test_texts_without_ids_are_one_query_in_every_table():
    one, two = (
        from_wide_table({"query": list(texts), "a": [0.0, 1.0], "b": [1.0, 0.0]}, ("a", "b"), HashingEncoder(8))
        for texts in ("xy", "yz")
    )
    assert one.query_ids[1] == two.query_ids[0]
    assert len({*one.query_ids, *two.query_ids}) == 3
