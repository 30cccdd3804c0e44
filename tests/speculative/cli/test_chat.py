"""`draftpick chat` on a tiny pool, with what is typed piped in."""

import pytest

from arms import Message, Query
from bandits import DecisionLog
from speculative.cli.answering import Answering
from speculative.pools.pool import Pool
from tests.support.command_runner import make_place, pool_of, refused, run_cli
from tests.support.tiny_pool import MAX_POSITIONS


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("chat"))


def talk(place, *lines, options=("--arm", "prompt_lookup_3"), end="\n"):
    return run_cli("chat", *pool_of(place), *options, "--max-new-tokens", 8, text="\n".join(lines) + end)


def answer(place, *said):
    messages = tuple(
        Message(role=role, content=content) for role, content in zip(("user", "assistant") * 3, said, strict=False)
    )
    query = Query(id="q", messages=messages, max_new_tokens=8)
    return Pool.load(place / "pool.toml").arms["no_draft"].pull(query, 0).text


def test_each_answer_reads_what_was_said_before(place):
    first = answer(place, "count: one two")
    second = answer(place, "count: one two", first, "and on")
    shown = talk(place, "count: one two", "", "and on")
    assert shown.stdout == f"{first}\n{second}\n"
    assert shown.stderr.count("arm: prompt_lookup_3\nspeed: 8 tokens in") == 2


def test_reset_forgets_and_exit_ends_and_so_does_the_end_of_the_input(place):
    first = answer(place, "count: one two")
    shown = talk(place, "count: one two", "/reset", "count: one two", "/exit", "never read")
    assert shown.stdout == f"{first}\n{first}\n"
    assert "forgotten" in shown.stderr
    assert talk(place, "count: one two", end="").stdout == f"{first}\n"


def test_an_unknown_command_is_named_and_a_message_that_does_not_fit_is_dropped(place):
    shown = talk(place, "/help me", "x" * MAX_POSITIONS, "count: one two")
    assert "unknown command '/help': /reset forgets what was said, /exit ends" in shown.stderr
    assert "exceed the target's context" in shown.stderr
    assert shown.stdout == answer(place, "count: one two") + "\n"


def test_a_policy_or_a_selector_picks_the_arm_of_each_answer(place):
    shown = talk(place, "a", "b", options=("--policy", place / "lin_ucb.safetensors", "--system", "be brief"))
    assert shown.stderr.count("picked with probability") == 2
    assert talk(place, "a", options=("--selector", "meta_sd")).stderr.count("arms by round: ") == 1
    assert "exactly one of --policy, --arm, --selector and --rounds" in refused("chat", *pool_of(place))


def test_a_policys_decisions_and_their_rewards_are_logged_across_conversations(place, tmp_path):
    run_cli("train", place / "train", "--policy", "epsilon_greedy", "--out", tmp_path / "explorer")
    policy = ("--policy", tmp_path / "explorer", "--log", tmp_path / "log")
    plain = talk(place, "count: one two", "and on", options=policy[:2])
    assert talk(place, "count: one two", "and on", options=policy).stdout == plain.stdout
    talk(place, "a", "x" * MAX_POSITIONS, "/reset", "b", options=(*policy, "--reward", "acceptance_length"))
    data = DecisionLog.load(tmp_path / "log")
    assert len(data) == len(set(data.query_ids)) == 4
    assert data.rewards[2:].min() >= 1
    with DecisionLog(tmp_path / "log") as log:
        assert log.open_queries == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--arm", "no_draft", "--log", "log"), "--log keeps a policy's decisions: give --policy with it"),
        (("--policy", "p", "--reward", "speedup"), "--reward values what --log keeps: give --log with it"),
        (("--policy", "p", "--log", "log", "--reward", "beauty"), "unknown reward 'beauty'"),
    ],
)
def test_log_options_that_do_not_go_together_are_refused_before_a_model_is_loaded(tmp_path, options, message):
    assert message in refused("chat", "--pool", tmp_path / "no.toml", *options)


def test_an_interrupted_answer_teaches_nothing_and_leaves_no_decision_open(place, tmp_path, monkeypatch):
    texts = Answering.texts

    def interrupted(self, request):
        for part in texts(self, request):
            yield part
            if request.id.startswith("answer-1"):
                raise KeyboardInterrupt

    monkeypatch.setattr(Answering, "texts", interrupted)
    options = ("--policy", place / "lin_ucb.safetensors", "--log", tmp_path / "log")
    assert "this message and its answer are dropped" in talk(place, "a", "count: one two", options=options).stderr
    with DecisionLog(tmp_path / "log") as log:
        assert (log.n_decisions, log.open_queries) == (2, ())
        [answered] = log.to_logged_data().query_ids
    assert answered.startswith("answer-2")
