"""A wide table is read as the long one that says the same."""

import numpy as np
import pytest

from bandits import HashingEncoder
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


@pytest.mark.parametrize(
    ("table", "arms", "suffix", "message"),
    [
        (TABLE, ("gpt-5",), None, "the table has no column 'gpt-5'; it has sample_id, prompt"),
        (TABLE, ARMS, "|cost", r"the table has no column 'mixtral\|cost'"),
        (TABLE | {"arm": ["x"] * 3}, ARMS, None, "has a column 'arm', as a long one has"),
        (TABLE | {"propensity": [0.5] * 3}, ARMS, None, "has propensities, as a log has"),
        (TABLE | {"mixtral": ["good"] * 3}, ("mixtral",), None, "column 'reward' must hold numbers"),
    ],
)
def test_what_is_no_wide_table_is_refused(table, arms, suffix, message):
    with pytest.raises(ValueError, match=message):
        from_wide_table(table, arms, HashingEncoder(8), LAYOUT, cost_suffix=suffix)
