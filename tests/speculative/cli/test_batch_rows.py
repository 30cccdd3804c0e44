"""`--batch-rows`: a folder is learned from, estimated on and compared on batch by batch."""

import json

import numpy as np
import pytest

from bandits import EpsilonGreedy, LinUCB, Uniform, load_policy
from bandits.testing import example_data
from tests.support.command_runner import refused, run_cli


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A closed folder of a log, one of full information, a table, and a policy of other rows."""
    folder = tmp_path_factory.mktemp("batches")
    data = example_data(400)
    data.log_with(Uniform(), np.random.default_rng(0)).save(folder / "log")
    data.save(folder / "full")
    (folder / "table.csv").write_text("arm,reward\na,1\n")
    EpsilonGreedy(LinUCB()).fit(example_data(50)).save(folder / "policy")
    return folder


def test_a_log_is_learned_from_estimated_on_and_compared_on_in_batches(place, tmp_path):
    batched = ("--batch-rows", "150")
    shown = json.loads(
        run_cli("train", place / "log", *batched, "--policy", "lin_ucb", "--out", tmp_path / "policy", "--json").stdout
    )
    assert shown["n_rows"] == 400
    assert shown["held_out"]["low"] < shown["held_out"]["value"] < shown["held_out"]["high"]
    assert load_policy(tmp_path / "policy").learned.n_rows == 400
    run_cli("evaluate", place / "log", *batched, "--policy", place / "policy", "--out", tmp_path / "evaluated")
    assert "DoublyRobust" in (tmp_path / "evaluated" / "table.txt").read_text()
    chosen = ("--policies", "best_fixed_arm, lin_ucb", "--seeds", "2", "--save-best", tmp_path / "best")
    run_cli("compare", place / "log", *batched, *chosen, "--out", tmp_path / "compared")
    rows = json.loads((tmp_path / "compared" / "comparison.json").read_text())["rows"]
    assert {row["name"] for row in rows} == {"best_fixed_arm", "lin_ucb", "best fixed arm", "logging policy"}
    assert load_policy(tmp_path / "best").learned.n_rows == 400


def test_full_information_is_compared_on_in_batches(place, tmp_path):
    run_cli("compare", place / "full", "--batch-rows", "100", "--policies", "lin_ucb", "--out", tmp_path)
    assert "oracle" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("compare", "table.csv"), "--batch-rows reads a folder of parts that draftpick wrote and closed"),
        (("compare", "nowhere"), "does not exist; check the path"),
        (("compare", "log", "--by-segment"), "--by-segment needs all rows at once: leave it out"),
        (("compare", "log", "--cost-weight", "0,1"), "--cost-weight needs all rows at once"),
        (("compare", "log", "--estimators", "slope"), "Slope cannot be used on a stream"),
        (("compare", "log", "--encoder", "hashing"), "--encoder needs all rows at once"),
        (("train", "log", "--folds", "3"), "--folds needs all rows at once"),
        (("evaluate", "full", "--policy", "policy"), "--batch-rows estimates on logs: leave --batch-rows out"),
    ],
)
def test_what_batches_cannot_do_is_refused_by_name(place, tmp_path, command, message):
    name, data, *rest = command
    given = [place / "policy" if word == "policy" else word for word in rest]
    assert message in refused(name, place / data, "--batch-rows", "100", *given, "--out", tmp_path / "out")
