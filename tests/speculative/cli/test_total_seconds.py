"""The defaults follow total seconds: a mean of ratios can prefer the slower arm."""

import json

import pytest

from bandits import load_policy
from bandits.evaluation import Comparison, Evaluation
from tests.support.command_runner import refused, run_cli
from tests.support.uneven_speeds import ARMS, uneven_speeds

SEEDS = ("--seeds", 2)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uneven")
    uneven_speeds(60).save(folder / "train")
    uneven_speeds(40, first=100).save(folder / "test")
    return folder


def trained(place, out, *options):
    shown = run_cli("train", place / "train", "--policy", "best_fixed_arm", *options, "--out", out, "--json")
    return json.loads(shown.stdout)


def test_train_learns_by_time_saved_and_takes_the_arm_that_is_faster_in_total(place, tmp_path):
    shown = trained(place, tmp_path / "default")
    assert shown["reward"] == "time_saved"
    assert "1.00 [1.00, 1.00] times as fast as always steady by total seconds" in shown["conclusion"]
    data = uneven_speeds(1)
    assert load_policy(tmp_path / "default").probabilities(data.contexts).tolist() == [[0.0, 1.0, 0.0]]
    by_ratio = trained(place, tmp_path / "ratio", "--reward", "speedup")
    assert load_policy(tmp_path / "ratio").probabilities(data.contexts).tolist() == [[0.0, 0.0, 1.0]]
    assert by_ratio["conclusion"].endswith("by total seconds: use the fixed arm.")


def test_evaluate_says_which_is_faster_in_total_seconds(place, tmp_path):
    trained(place, tmp_path / "default")
    trained(place, tmp_path / "ratio", "--reward", "speedup")
    usage = ("evaluate", place / "test", "--train-data", place / "train", "--out", tmp_path / "report")
    good = run_cli(*usage, "--policy", tmp_path / "default").stdout
    assert good.startswith("reward: time_saved\n")
    assert " ".join(good.splitlines()[-2:]).endswith(
        "default: 1.00 [1.00, 1.00] times as fast as always steady by total seconds: no difference can be told: use "
        "the fixed arm, which is simpler."
    )
    bad = run_cli(*usage, "--policy", tmp_path / "ratio").stdout
    assert " ".join(bad.splitlines()[-2:]).endswith("by total seconds: use the fixed arm.")
    evaluation = Evaluation.load(tmp_path / "report" / "evaluation.json")
    assert evaluation.best_fixed_arm == "steady"
    assert evaluation["bursty"].value < evaluation["steady"].value


def test_compare_ranks_by_the_same_reward_and_by_any_other_when_asked(place, tmp_path):
    shown = run_cli("compare", place / "train", "--policies", "best_fixed_arm", *SEEDS, "--out", tmp_path / "a")
    assert "train, reward: time_saved" in shown.stdout
    comparison = Comparison.load(tmp_path / "a" / "comparison.json")
    assert comparison.conclusion.fixed_arms == ("steady",)
    assert comparison["steady"].value > comparison["bursty"].value
    usage = ("compare", place / "train", "--policies", "best_fixed_arm", *SEEDS, "--out", tmp_path / "b")
    run_cli(*usage, "--reward", "0.5 * speedup + 0.5 * speedup")
    comparison = Comparison.load(tmp_path / "b" / "comparison.json")
    assert comparison["steady"].value < comparison["bursty"].value
    assert comparison.conclusion.fixed_arms == ("steady",)


def test_compare_saves_its_best_policy_fitted_to_all_rows(place, tmp_path):
    usage = ("compare", place / "train", "--policies", "uniform,knn", *SEEDS, "--out", tmp_path)
    shown = run_cli(*usage, "--save-best", tmp_path / "best.safetensors")
    assert "knn, the best policy, learned from all 60 rows; saved in " in shown.stderr
    best = load_policy(tmp_path / "best.safetensors")
    assert (type(best).__name__, best.arm_names) == ("KNN", ARMS)
    assert "one DATA, got 2" in refused(*usage, place / "test", "--save-best", tmp_path / "best")


def test_held_out_data_that_are_the_training_data_are_refused_and_an_overlap_is_told(place, tmp_path):
    trained(place, tmp_path / "policy")
    usage = ("--policy", tmp_path / "policy", "--out", tmp_path / "report")
    assert "all 60 queries of" in refused("evaluate", place / "train", *usage, "--train-data", place / "train")
    train = uneven_speeds(60)
    test = uneven_speeds(40, first=100)
    type(train).concat([train.subset([0, 1]), test]).save(tmp_path / "mixed")
    shown = run_cli("evaluate", tmp_path / "mixed", *usage, "--train-data", place / "train")
    assert "warning: 2 of 42 queries are in --train-data too" in shown.stderr
    apart = run_cli("evaluate", place / "test", *usage, "--train-data", place / "train")
    assert "warning" not in apart.stderr


def test_tables_fit_the_terminal(place, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    trained(place, tmp_path / "policy")
    usage = ("--policy", tmp_path / "policy", "--train-data", place / "train", "--out", tmp_path / "report")
    shown = [
        run_cli("evaluate", place / "test", *usage).stdout,
        run_cli("compare", place / "train", *SEEDS, "--out", tmp_path / "c").stdout,
        run_cli("train", place / "train", "--out", tmp_path / "short").stdout.replace(str(tmp_path), "/tmp"),
    ]
    assert max(len(line) for text in shown for line in text.splitlines()) <= 80
