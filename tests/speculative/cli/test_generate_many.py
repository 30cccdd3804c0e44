"""`draftpick generate --prompts`, `--selector` and `--log` on a tiny pool."""

import json

import pytest

from bandits import DecisionLog
from speculative.cli.answering import Answering
from speculative.pools.pool import Pool
from tests.support.command_runner import make_place, pool_of, refused, run_cli
from tests.support.tiny_pool import ARMS, queries, save_queries


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("many"))


def rows_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_many_prompts_are_answered_in_order_as_json_lines(place, tmp_path):
    usage = ("generate", "--prompts", place / "test.jsonl", *pool_of(place), "--policy", place / "lin_ucb.safetensors")
    shown = run_cli(*usage, "--out", tmp_path / "answers.jsonl")
    assert shown.stdout == ""
    assert "answering: 8 of 8" in shown.stderr
    rows = rows_of((tmp_path / "answers.jsonl").read_text())
    assert [row["id"] for row in rows] == [query.id for query in queries(8, first=50)]
    pool = Pool.load(place / "pool.toml")
    assert [row["text"] for row in rows] == [
        pool.arms["no_draft"].pull(query, 0).text for query in queries(8, first=50)
    ]
    assert all(row["arm"] in ARMS and sum(row["probabilities"].values()) == pytest.approx(1) for row in rows)
    assert rows_of(run_cli(*usage).stdout)[3]["text"] == rows[3]["text"]
    assert "exists: name another --out" in refused(*usage, "--out", tmp_path / "answers.jsonl")


def test_what_is_finished_when_a_run_is_stopped_is_written(place, tmp_path, monkeypatch):
    each = Answering.each

    def stopped(self, requests):
        finished = dict(each(self, requests))
        for request in (requests[0], requests[3], requests[2]):
            yield request.id, finished[request.id]
        raise KeyboardInterrupt

    monkeypatch.setattr(Answering, "each", stopped)
    out = tmp_path / "answers.jsonl"
    usage = ("generate", "--prompts", place / "test.jsonl", *pool_of(place), "--arm", "no_draft", "--out", out)
    run_cli(*usage, status=130)
    assert [row["id"] for row in rows_of(out.read_text())] == ["q50", "q52", "q53"]


def test_a_selector_picks_an_arm_at_every_round(place):
    usage = ("generate", queries(1)[0].prompt, *pool_of(place), "--selector")
    result = json.loads(run_cli(*usage, "ucb_spec", "--json").stdout)
    assert result["text"] == json.loads(run_cli(*usage[:-1], "--arm", "no_draft", "--json").stdout)["text"]
    assert (result["arm"], result["probabilities"]) == (None, None)
    assert sum(result["rounds_by_arm"].values()) == result["n_rounds"]
    assert "arms by round: " in run_cli(*usage, "meta_sd").stderr
    fixed = run_cli(*usage, "fixed", "--set", "arm=prompt_lookup_3", "--json").stdout
    assert json.loads(fixed)["arm"] == "prompt_lookup_3"
    own = run_cli(*usage, "tests.support.last_arm:LastArm", "--json").stdout
    assert set(json.loads(own)["rounds_by_arm"]) == {"draft_small_2"}


def test_a_budget_of_lost_seconds_goes_with_any_choice_and_is_told(place):
    usage = ("generate", queries(1)[0].prompt, *pool_of(place), "--conservative", "0.5", "--json", "--selector")
    shown = run_cli(*usage, "ucb_spec")
    assert "against the safe arm, 0.5 s may be lost" in shown.stderr
    assert json.loads(shown.stdout)["rounds_by_arm"]["no_draft"] >= 4


def test_decisions_and_their_rewards_are_logged_and_learned_from(place, tmp_path):
    run_cli("train", place / "train", "--policy", "epsilon_greedy", "--out", tmp_path / "explorer")
    policy = ("--policy", tmp_path / "explorer", "--log", tmp_path / "log")
    run_cli("generate", "--prompts", place / "test.jsonl", *pool_of(place), *policy)
    run_cli("generate", "--prompts", place / "test.jsonl", *pool_of(place), *policy)
    run_cli("generate", "one more", *pool_of(place), *policy, "--reward", "acceptance_length")
    data = DecisionLog.load(tmp_path / "log")
    assert len(data) == 17
    assert len(set(data.query_ids)) == 17
    assert (data.encoder, data.arm_names) == ("hashing-8", ARMS)
    with DecisionLog(tmp_path / "log") as log:
        assert log.open_queries == ()
    assert "learned from 17 rows" in run_cli("train", tmp_path / "log", "--out", tmp_path / "p", "--folds", 2).stdout


def test_dtype_and_weights_override_the_pools(place):
    usage = ("generate", "x", *pool_of(place), "--arm", "no_draft", "--json")
    assert json.loads(run_cli(*usage, "--dtype", "bfloat16").stdout)["n_tokens"] > 0
    assert "4-bit weights need in_features a multiple of 32" in refused(*usage, "--weights", "int4")
    assert "graphs must be 'auto' or 'off' on device 'cpu', which has none" in refused(*usage, "--graphs", "on")
    assert "Invalid value for '--dtype'" in run_cli(*usage, "--dtype", "float8", status=2).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "exactly one of --policy, --arm, --selector and --rounds, got 0"),
        (
            ("x", "--arm", "a", "--selector", "meta_sd"),
            "exactly one of --policy, --arm, --selector and --rounds, got 2",
        ),
        (("--arm", "no_draft"), "exactly one of PROMPT and --prompts"),
        (("x", "--arm", "no_draft", "--out", "answers"), "--out is for the answers to --prompts"),
        (("x", "--arm", "no_draft", "--log", "log"), "--log keeps a policy's decisions"),
        (("x", "--policy", "p", "--reward", "speedup"), "--reward values what --log keeps"),
        (("x", "--policy", "p", "--log", "log", "--reward", "beauty"), "unknown reward 'beauty'"),
        (("x", "--arm", "no_draft", "--set", "a=1"), "--set is for a --selector"),
        (("x", "--arm", "no_draft", "--policy-class", "a:B"), "--policy-class is for a --policy"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_a_model_is_loaded(tmp_path, arguments, message):
    assert message in refused("generate", "--pool", tmp_path / "no.toml", *arguments)


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (("nobody",), "unknown selector 'nobody'"),
        (("json:JSONDecoder",), "must be a subclass of"),
        (("ucb_spec", "--set", "speed=1"), "speed"),
        (("fixed", "--set", "arm=nobody"), "no arm is named 'nobody'"),
    ],
)
def test_a_wrong_selector_is_refused_in_one_line(place, selector, message):
    assert message in refused("generate", "x", *pool_of(place), "--selector", *selector)


def test_a_prompt_that_does_not_fit_is_refused_before_any_is_answered(place, tmp_path):
    save_queries(tmp_path / "p.jsonl", [*queries(1), queries(1, first=5)[0].model_copy(update={"prompt": "x" * 400})])
    usage = ("generate", "--prompts", tmp_path / "p.jsonl", *pool_of(place), "--arm", "no_draft")
    assert "exceed the target's context" in refused(*usage, "--out", tmp_path / "answers.jsonl")
    assert not (tmp_path / "answers.jsonl").exists()
