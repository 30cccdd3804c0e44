"""Thirty crashes leave no trace: every decision once, with its propensity, and the learner that was never killed."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bandits import DecisionLog, EpsilonGreedy, LinUCB, load_policy
from tests.support.fake_endpoints import ARM_NAMES
from tests.support.public_names import ROOT

N_QUERIES, N_KILLS = 500, 30


def run(folder, n_kills):
    driver = ROOT / "tests" / "support" / "killed_agent.py"
    command = [sys.executable, str(driver), str(folder), "0", str(n_kills), str(N_QUERIES)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    killed, undisturbed = tmp_path_factory.mktemp("killed"), tmp_path_factory.mktemp("undisturbed")
    warnings = run(killed, N_KILLS)
    assert "TornRecordWarning" in warnings  # some kills fell within a write
    run(undisturbed, 0)
    return killed, undisturbed


def rows_of(folder):
    return DecisionLog.load(folder / "log")


def policy_of(folder):
    saved = json.loads((folder / "learner" / "checkpoint.json").read_text())
    assert saved["n_learned"] == N_QUERIES
    return load_policy(folder / "learner" / saved["policy"])


def test_every_decision_is_there_once_with_its_propensity_and_reward(runs):
    killed, undisturbed = map(rows_of, runs)
    assert killed.query_ids == tuple(f"q{i}" for i in range(N_QUERIES))
    for name in ("contexts", "actions", "propensities", "action_probabilities", "rewards"):
        np.testing.assert_array_equal(getattr(killed, name), getattr(undisturbed, name))
    assert set(killed.propensities) == {0.1, 0.5, 0.9}  # one half while both arms are equal
    assert (killed.rewards == 0).sum() > 20  # pulls that failed are there too


def test_the_files_hold_each_number_once_and_are_several(runs):
    files = sorted((runs[0] / "log").glob("segment-*.jsonl"))
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    for kind in ("decided", "rewarded"):
        assert sorted(record["number"] for record in records if record["kind"] == kind) == list(range(N_QUERIES))
    assert len(files) > 5


def test_the_learner_equals_the_undisturbed_one(runs):
    killed, undisturbed = map(policy_of, runs)
    probe = rows_of(runs[0]).contexts
    np.testing.assert_array_equal(killed.probabilities(probe), undisturbed.probabilities(probe))
    for name, array in killed.policy.learned.per_arm.items():
        np.testing.assert_array_equal(array, undisturbed.policy.learned.per_arm[name])


def test_the_learner_equals_one_fit_to_the_whole_log(runs):
    killed, data = policy_of(runs[0]), rows_of(runs[0])
    whole = EpsilonGreedy(LinUCB(arm_names=ARM_NAMES), epsilon=0.2).fit(data)
    assert whole.exact_updates
    for name, array in whole.policy.learned.per_arm.items():
        np.testing.assert_allclose(killed.policy.learned.per_arm[name], array, rtol=1e-9, atol=1e-9)
