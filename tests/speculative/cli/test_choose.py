"""`draftpick choose` and `draftpick reward`: a decision as JSON, logged, rewarded, and learned from."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bandits import DecisionLog, EpsilonGreedy, FullInformationData, HashingEncoder, LinUCB
from tests.support.command_runner import refused, run_cli

TEXTS = ("write a function", "write a poem", "sort a list", "praise a tree")
ARMS = ("code", "prose", "none")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("choose")
    encoder = HashingEncoder(16)
    rewards = np.array([[1.0, 0.0, 0.2], [0.0, 1.0, 0.2]] * 2)
    data = FullInformationData(encoder.encode(TEXTS), rewards, ARMS, encoder=encoder.name)
    EpsilonGreedy(LinUCB(ucb_width=0.0), epsilon=0.3).fit(data).save(folder / "policy")
    LinUCB().fit(FullInformationData(np.eye(4), rewards, ARMS)).save(folder / "bare")
    LinUCB().fit(FullInformationData(np.eye(4), rewards, ARMS, encoder="json:loads")).save(folder / "foreign")
    return folder


def chosen(place, *arguments, text=None):
    return json.loads(run_cli("choose", *arguments, "--policy", place / "policy", text=text).stdout)


def test_a_decision_has_the_probabilities_it_was_drawn_from(place):
    shown = chosen(place, TEXTS[0], "--seed", 1)
    assert list(shown["probabilities"]) == list(ARMS)
    assert sum(shown["probabilities"].values()) == pytest.approx(1)
    assert shown["propensity"] == shown["probabilities"][shown["arm"]]
    assert shown["probabilities"]["code"] == pytest.approx(0.8)
    assert chosen(place, TEXTS[0], "--seed", 1)["arm"] == shown["arm"]
    assert chosen(place, "-", "--seed", 1, text=TEXTS[0])["probabilities"] == shown["probabilities"]
    context = json.dumps(HashingEncoder(16).encode([TEXTS[0]])[0].tolist())
    assert chosen(place, "--context", context, "--seed", 1)["probabilities"] == shown["probabilities"]


def test_draws_differ_without_a_seed_and_follow_the_distribution(place):
    ids = {chosen(place, TEXTS[0])["id"] for _ in range(4)}
    assert len(ids) == 4
    arms = [chosen(place, TEXTS[0], "--seed", seed)["arm"] for seed in range(30)]
    assert set(arms) == set(ARMS)


def test_only_available_arms_are_chosen(place):
    shown = chosen(place, TEXTS[0], "--available", "prose, none")
    assert shown["probabilities"]["code"] == 0
    assert "unknown arm 'verse'" in refused("choose", "x", "--policy", place / "policy", "--available", "verse")


def test_a_logged_decision_is_rewarded_by_id_and_learned_from(place, tmp_path):
    log = tmp_path / "log"
    for index, text in enumerate(TEXTS):
        shown = chosen(place, text, "--log", log, "--id", f"d{index}", "--seed", index)
        assert shown["id"] == f"d{index}"
        run_cli("reward", log, shown["id"], -0.5 if shown["arm"] == "none" else 1.0)
    data = DecisionLog.load(log)
    assert data.query_ids == ("d0", "d1", "d2", "d3")
    assert data.encoder == "hashing-16"
    assert "was rewarded before" in refused("reward", log, "d1", 1)
    assert "no decision waits" in refused("reward", log, "d9", 1)
    assert "must be a finite number" in refused("reward", log, "d1", "nan")
    assert "holds no decision log" in refused("reward", tmp_path / "no", "d1", 1)
    assert not (tmp_path / "no").exists()
    learned = run_cli("train", log, "--policy", "lin_ucb", "--folds", 2, "--out", tmp_path / "next")
    assert "learned from 4 rows of 4 queries" in learned.stdout


def test_a_decision_that_waits_for_its_reward_is_not_made_twice(place, tmp_path):
    usage = ("choose", "x", "--policy", place / "policy", "--log", tmp_path / "log", "--id", "one")
    run_cli(*usage)
    assert "has a decision that waits for its reward" in refused(*usage)


def test_a_log_in_use_is_refused(place, tmp_path):
    with DecisionLog(tmp_path / "log"):
        line = refused("choose", "x", "--policy", place / "policy", "--log", tmp_path / "log")
    assert "is in use by this process itself" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policy", "policy"), "exactly one of TEXT and --context"),
        (("x", "--context", "[1]", "--policy", "policy"), "exactly one of TEXT and --context"),
        ((" ", "--policy", "policy"), "the text must not be blank"),
        (("--context", "[1, 2", "--policy", "policy"), "--context must be a JSON array of numbers"),
        (("--context", '{"a": 1}', "--policy", "policy"), "--context must be a JSON array of numbers"),
        (("--context", '["a"]', "--policy", "policy"), "--context"),
        (("--context", "[1, 2]", "--policy", "policy"), "16"),
        (("--context", "[1]", "--encoder", "hashing", "--policy", "policy"), "leave one out"),
        (("x", "--encoder", "hashing", "--policy", "policy"), "must have contexts of one encoder"),
        (("x", "--encoder", "nobody", "--policy", "policy"), "unknown encoder 'nobody'"),
        (("x", "--policy", "bare"), "the policy does not know what made its contexts"),
        (("x", "--policy", "foreign"), "has contexts of encoder 'json:loads', and no encoder can be made from that"),
        (("x", "--encoder", "json:JSONDecoder", "--policy", "bare"), "must be a subclass of"),
        (("x", "--policy", "nowhere"), "does not exist"),
    ],
)
def test_bad_input_is_refused_in_one_line(place, arguments, message):
    known = ("policy", "bare", "nowhere", "foreign")
    paths = [
        place / argument if argument in known and before == "--policy" else argument
        for before, argument in zip((None, *arguments), arguments, strict=False)
    ]
    assert message in refused("choose", *paths)


def test_choosing_needs_no_torch(place):
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'sentence_transformers'):\n"
        "    sys.modules[name] = None\n"
        "sys.argv = ['draftpick', *sys.argv[1:]]\n"
        "import runpy\n"
        "runpy.run_module('speculative.cli', run_name='__main__')\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, "choose", TEXTS[1], "--policy", str(place / "policy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"id", "arm", "propensity", "probabilities"}
