"""Classes of a user's own on every option that takes a name; only what is named is imported."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bandits import FullInformationData, LoggedData, Uniform
from bandits.evaluation import Comparison
from bandits.testing import example_data
from tests.support.command_runner import refused, run_cli
from tests.support.own_classes import Nearest
from tests.support.uneven_speeds import uneven_speeds

OWN = "tests.support.own_classes"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    uneven_speeds(30).save(folder / "train")
    uneven_speeds(20, first=100).save(folder / "test")
    example_data(60).log_with(Uniform(), np.random.default_rng(0)).save(folder / "log")
    run_cli("train", folder / "train", "--policy", f"{OWN}:Nearest", "--set", "n_neighbors=3", "--out", folder / "p")
    return folder


def test_train_takes_a_policy_and_a_reward_of_ones_own(place, tmp_path):
    usage = ("train", place / "train", "--policy", f"{OWN}:Nearest", "--out", tmp_path / "p")
    shown = json.loads(run_cli(*usage, "--reward", f"2 * {OWN}:Brevity", "--json").stdout)
    assert shown["reward"] == f"2 * {OWN}:Brevity"
    assert shown["held_out"]["value"] < 0
    assert Nearest.load(place / "p").n_neighbors == 3


def test_a_saved_policy_of_ones_own_class_needs_the_class_named(place, tmp_path):
    usage = ("evaluate", place / "test", "--policy", place / "p", "--out", tmp_path / "report")
    assert "is not built in" in refused(*usage)
    assert "name it with --policy-class package.module:Class" in refused(*usage)
    shown = run_cli(*usage, "--policy-class", f"{OWN}:Picky:x", status=2).stderr
    assert 'must have the form "package.module:Class"' in shown
    assert run_cli(*usage, "--policy-class", f"{OWN}:Nearest").stdout.startswith("reward: time_saved")
    chosen = ("choose", "--context", "[0.1, 0.2]", "--policy", place / "p")
    assert "--policy-class" in refused(*chosen)
    shown = json.loads(run_cli(*chosen, "--policy-class", f"{OWN}:Nearest").stdout)
    assert shown["arm"] in ("no_draft", "steady", "bursty")


def test_compare_takes_policies_and_estimators_of_ones_own(place, tmp_path):
    policies = ("--policies", f"lin_ucb,{OWN}:Nearest")
    run_cli("compare", place / "log", *policies, "--estimators", f"{OWN}:MyIPS", "--seeds", 1, "--out", tmp_path)
    comparison = Comparison.load(tmp_path / "comparison.json")
    assert {row.estimator for row in comparison.rows} == {"MyIPS", "on policy"}
    assert f"{OWN}:Nearest" in [row.name for row in comparison.rows]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policy", f"{OWN}:Picky"), "must be a subclass of"),
        (("--policy", f"{OWN}:Nobody"), "has no 'Nobody'"),
        (("--policy", "no.such.module:Class"), "module no.such.module does not import"),
        (("--policy", f"{OWN}:NeedsMore"), "needs the setting secret"),
        (("--policy", f"{OWN}:Nearest", "--set", "n_neighbors=three"), "n_neighbors must be"),
        (("--reward", f"{OWN}:Picky"), "must be a subclass of rewards.reward.Reward"),
    ],
)
def test_a_wrong_class_or_setting_is_the_users_fault_in_one_line(place, tmp_path, arguments, message):
    assert message in refused("train", place / "train", *arguments, "--out", tmp_path / "p")


def test_nothing_is_imported_for_a_name_and_only_what_is_named_for_a_path(place, tmp_path):
    def imported(*arguments):
        words = [str(argument) for argument in arguments]
        code = f"import sys; from speculative.cli.main import app; app({words!r}, standalone_mode=False)"
        code += f"; print({OWN!r} in sys.modules, 'torch' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[-1]

    train = ("train", place / "train", "--out", tmp_path / "p", "--policy")
    assert imported(*train, "knn") == "False False"
    assert imported(*train, f"{OWN}:Nearest") == "True False"


def test_train_reads_every_kind_of_table(place, tmp_path):
    rows = [
        {"id": f"q{index}", "text": f"{('add', 'rhyme')[index % 2]} {index}", "arm": arm, "score": float(good)}
        for index in range(12)
        for arm, good in (("solver", index % 2 == 0), ("poet", index % 2 == 1))
    ]
    (tmp_path / "table.jsonl").write_text("\n".join(map(json.dumps, rows)))
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    columns = [part for name in ("query_id=id", "query=text", "reward=score") for part in ("--column", name)]
    usage = ("--encoder", "hashing-32", *columns, "--out", tmp_path / "p", "--json")
    shown = [json.loads(run_cli("train", tmp_path / f"table.{kind}", *usage).stdout) for kind in ("jsonl", "csv")]
    assert shown[0] == shown[1]
    assert (shown[0]["n_queries"], shown[0]["arm_names"]) == (12, ["poet", "solver"])
    assert shown[0]["reward"] == "the data's own reward"
    assert "the table needs a column 'reward'" in refused("train", tmp_path / "table.csv", "--out", tmp_path / "q")
    log = json.loads(run_cli("train", place / "log", "--out", tmp_path / "l", "--json").stdout)
    assert log["n_rows"] == len(LoggedData.load(place / "log"))
    assert "use draftpick compare" in refused(
        "evaluate", place / "log", "--policy", tmp_path / "p", "--out", tmp_path / "r"
    )


def test_a_log_without_propensities_is_learned_from_when_asked(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {
            "query_id": f"q{i}",
            "context_0": float(i % 2),
            "arm": ("a", "b")[int(rng.integers(2))],
            "reward": float(i % 2),
        }
        for i in range(40)
    ]
    file = tmp_path / "log.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    usage = ("train", file, "--folds", 4, "--out", tmp_path / "p")
    assert "or --propensities estimated)" in refused(*usage)
    assert "learned from 40 rows" in run_cli(*usage, "--propensities", "estimated").stdout


def test_data_without_observations_keep_their_reward(tmp_path):
    data = uneven_speeds(20)
    FullInformationData(data.contexts, data.rewards, data.arm_names, costs=data.costs, query_ids=data.query_ids).save(
        tmp_path / "plain"
    )
    shown = json.loads(run_cli("train", tmp_path / "plain", "--out", tmp_path / "p", "--json").stdout)
    assert shown["reward"] == "the data's own reward"
    assert "by total seconds" in shown["conclusion"]
