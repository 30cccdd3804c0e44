"""`draftpick evaluate --features` names the parts of contexts and says what each is worth."""

import json

import pytest

from bandits.encoders import ColumnFeatures, HashingEncoder
from speculative.cli.context_parts import context_parts
from speculative.targets.text_features import STATE_MARK, TEXT_FEATURES
from tests.support.command_runner import make_place, run_cli

COLUMNS = ColumnFeatures({"kind": ("code", "text"), "length": None}, "own_column")


@pytest.mark.parametrize(
    ("mark", "n_features", "expected"),
    [
        (None, 2, {"context_0": range(1), "context_1": range(1, 2)}),
        (None, 1000, {"contexts": range(1000)}),
        (COLUMNS.name, 4, {"kind": range(3), "length": range(3, 4)}),
        (COLUMNS.beside("hashing-8"), 12, {"hashing-8": range(8), "kind": range(8, 11), "length": range(11, 12)}),
        (HashingEncoder(8).name, 8, {"hashing-8": range(8)}),
        (
            f"{STATE_MARK}owner/model",
            24,
            {
                "hidden mean": range(10),
                "last hidden state": range(10, 20),
                **{name: range(20 + i, 21 + i) for i, name in enumerate(TEXT_FEATURES)},
            },
        ),
        (f"{STATE_MARK}of an earlier layout", 23, {f"{STATE_MARK}of an earlier layout": range(23)}),
    ],
)
def test_every_column_is_in_one_part_named_after_what_made_it(mark, n_features, expected):
    parts = context_parts(mark, n_features)
    assert parts == expected
    assert sorted(column for part in parts.values() for column in part) == list(range(n_features))


def test_evaluate_says_what_each_part_is_worth_to_each_policy(tmp_path):
    place = make_place(tmp_path)
    policy = ("--policy", place / "lin_ucb.safetensors", "--out", tmp_path / "report")
    shown = run_cli("evaluate", place / "test", *policy, "--features", "--json")
    found = json.loads(shown.stdout)["features"]
    assert json.loads((tmp_path / "report" / "features.json").read_text()) == found
    [part] = found["lin_ucb"]
    assert part["name"] == "hashing-8"
    assert part["low"] <= part["value"] <= part["high"]
    lines = run_cli("evaluate", place / "test", *policy, "--features").stdout
    assert "lin_ucb: share of seconds lost where a part of the contexts is another query's" in lines
