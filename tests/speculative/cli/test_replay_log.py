"""`draftpick replay-log` on a log that is being written."""

import json
from contextlib import closing

import numpy as np

from arms import Query
from bandits import Agent, DecisionLog, HashingEncoder, Learner, LinUCB, Uniform
from tests.support.command_runner import refused, run_cli

ARMS = ("plain", "fast")


def write_log(folder, n=600):
    """A service's state folder, whose log stays open."""
    log = DecisionLog(folder / "log", sync_every=0)
    agent = Agent(Uniform(arm_names=ARMS), HashingEncoder(4), log)
    rng = np.random.default_rng(0)
    for number in range(n):
        domain = ("code", "prose", None)[number % 3]
        decision = agent.choose(Query(id=f"q{number}", prompt=f"words {number % 7}", domain=domain))
        agent.reward(f"q{number}", {"plain": 0.3, "fast": 0.7}[decision.arm] + rng.uniform(-0.1, 0.1))
    agent.choose(Query(id="open", prompt="not rewarded yet"))
    return log


def test_a_log_being_written_is_valued_for_saved_and_named_policies(tmp_path):
    plain = LinUCB(ucb_width=0.0).fit(np.ones((4, 4), np.float32), [0, 1] * 2, [1.0, 0.0] * 2, arm_names=ARMS)
    plain.save(tmp_path / "kept.safetensors")
    policies = ("--policy", "epsilon_greedy", "--policy", tmp_path / "kept.safetensors")
    with write_log(tmp_path / "state"):
        segment = next((tmp_path / "state" / "log").glob("segment-*.jsonl"))
        with segment.open("ab") as file:
            file.write(b'{"kind":"decided","number":30')  # a record that is not whole yet
        result = json.loads(run_cli("replay-log", tmp_path / "state", *policies, "--json").stdout)
        text = run_cli("replay-log", tmp_path / "state" / "log", *policies, "--estimator", "ips").stdout
    assert (result["n_train"], result["n_rows"]) == (300, 300)
    assert {row["name"] for row in result["rows"]} == {"epsilon_greedy", "kept", "what was served", *ARMS}
    assert result["rows"][0]["estimator"] == "DoublyRobust"
    assert result["conclusion"].startswith("epsilon_greedy (the best of 2 policies) would have earned 0.")
    assert result["conclusion"].endswith("serve it.")
    assert "what was served" in text
    assert [one["decisions"] for one in result["domains"].values()] == [200, 200, 201]  # one is not rewarded yet
    assert 0.3 < result["domains"]["code"]["reward"] < 0.7
    assert text.startswith("What was served, by domain")
    assert "serve it." in " ".join(text.split())


def test_what_is_no_log_is_refused(tmp_path):
    assert "does not exist" in refused("replay-log", tmp_path / "none", "--policy", "uniform")
    with write_log(tmp_path, 30):
        assert "unheard" in refused("replay-log", tmp_path, "--policy", "unheard")
        written = ("--to-dsjson", tmp_path / "log.dsjson")
        assert "unheard" in refused("replay-log", tmp_path, "--policy", "uniform", "--estimator", "unheard", *written)
        assert not (tmp_path / "log.dsjson").exists()  # or the same command, mended, would be refused for it


def test_what_the_service_learned_from_the_log_itself_is_refused(tmp_path):
    with write_log(tmp_path, 30), closing(Learner(LinUCB(), tmp_path / "log", tmp_path / "learner")) as learner:
        learner.step(whole_batches=False)
        [file] = (tmp_path / "learner").glob("*.safetensors")
        for log in (tmp_path, tmp_path / "log"):
            assert "learned from this very log" in refused("replay-log", log, "--policy", file)


def test_a_log_goes_to_dsjson_and_is_valued_from_there_alike(tmp_path):
    file, policy = tmp_path / "log.dsjson", ("--policy", "epsilon_greedy", "--json")
    with write_log(tmp_path, 300):
        run_cli("replay-log", tmp_path, "--to-dsjson", file)
        direct = json.loads(run_cli("replay-log", tmp_path, *policy).stdout)
    assert set(direct.pop("domains")) == {"code", "prose", "(none)"}  # dsjson has none
    assert json.loads(run_cli("replay-log", file, *policy).stdout) == direct
    assert "exists" in refused("replay-log", tmp_path, "--to-dsjson", file)
    assert "--policy" in refused("replay-log", tmp_path)
