"""A request's columns stand beside its text, in the log and in the policy's mark; what is saved moves the choice."""

import json
import math

import numpy as np
import pytest

from bandits import Agent, DecisionLog, HashingEncoder, LinUCB
from bandits.testing import check_encoder
from speculative.serving import service
from speculative.serving.answer_watch import AnswerWatch
from speculative.serving.completion_request import read_request
from speculative.serving.prefix_cache import BLOCK
from speculative.serving.request_columns import (
    COLUMNS,
    DEFAULT_GROUPS,
    ColumnedEncoder,
    RequestColumns,
    lasting_order,
    names_of,
    served_groups,
)
from speculative.serving.settings import ServiceSettings
from tests.support.front_door import front_door, records

ALL = tuple(COLUMNS)


def request(*contents, **fields):
    messages = [{"role": "user", "content": content} for content in contents]
    return read_request("chat/completions", json.dumps({"messages": messages, **fields}).encode(), "draftpick")


def columns_of(columns, asked, groups=ALL):
    return dict(zip(names_of(groups), columns.query("q", asked).columns, strict=True))


def test_columns_tell_load_conversation_tools_and_the_hour():
    columns = RequestColumns(("a", "b"), ALL, clock=lambda: 86_400 * 20_000 + 6 * 3600.0)
    columns.began("b")
    columns.began("b")
    columns.began("a")
    columns.ended("a")
    found = columns_of(columns, request("one", "two", tools=[{"type": "function"}]))
    two = math.log1p(2) / 5
    assert (found["running"], found["running_0"], found["running_1"], found["running_2"]) == (two, 0.0, two, 0.0)
    assert (found["n_messages"], found["n_characters"]) == (two, math.log1p(7) / 12)
    assert (found["has_tools"], found["hour_sin"]) == (1.0, 1.0)
    assert columns_of(columns, request("one"))["has_tools"] == 0.0


def test_a_ninth_arm_shares_the_columns_of_the_first():
    columns = RequestColumns("abcdefghi", ("load",))
    columns.began("i")
    assert columns_of(columns, request("x"), ("load",))["running_0"] > 0


def test_the_encoder_keeps_the_contract_and_its_mark_names_the_columns():
    encoder = ColumnedEncoder(HashingEncoder(8), DEFAULT_GROUPS)
    check_encoder(lambda: ColumnedEncoder(HashingEncoder(8), DEFAULT_GROUPS))
    assert encoder.encode_query(RequestColumns("a", DEFAULT_GROUPS).query("q", request("x"))).shape == (36,)
    assert served_groups(None, encoder.name) == DEFAULT_GROUPS == served_groups(None, None)
    assert served_groups(None, "hashing-8") == () == served_groups((), encoder.name)


def test_a_policy_of_another_layout_is_refused(tmp_path):
    learned = ColumnedEncoder(HashingEncoder(8), ("load",))
    policy = LinUCB(arm_names=("a", "b"))
    policy.start(("a", "b"), learned.n_features, learned.name)
    with DecisionLog(tmp_path) as log, pytest.raises(ValueError, match="must have contexts of one encoder"):
        Agent(policy, ColumnedEncoder(HashingEncoder(8), ("load", "tools")), log)


@pytest.mark.parametrize("groups", [(), ("load", "weather")])
def test_unknown_columns_are_refused(groups):
    with pytest.raises(ValueError, match="columns must be some of load, queue, conversation, tools, prefix, time, got"):
        ColumnedEncoder(HashingEncoder(8), groups)


def test_arms_keep_their_columns_when_others_join_or_leave(tmp_path):
    file = tmp_path / "arms.json"
    assert lasting_order(file, ("a", "b")) == ["a", "b"]
    assert lasting_order(file, ("c", "b")) == ["a", "b", "c"]
    file.write_text("{}")
    with pytest.raises(ValueError, match=r"arms\.json is damaged"):
        lasting_order(file, ("a",))


class ReadingArm:
    """Takes 2 microseconds for each character that it has not read before, by its own clock."""

    name, n_waiting = "a", 0

    def __init__(self):
        self.now_s, self._read = 0.0, ""

    async def answer(self, request):
        n_known = len(self._read) if request.text.startswith(self._read) else 0
        self.now_s += 2e-6 * (len(request.text) - n_known)
        self._read = request.text
        yield json.dumps({"choices": [{"delta": {"content": "hello"}}]}).encode()


def test_served_contexts_hold_what_each_arms_cache_saves_and_propensities_are_the_policys_own(tmp_path, monkeypatch):
    settings = ServiceSettings("a", stage="live", exploration=0.2)
    arm, groups, n_read = ReadingArm(), ("load", "prefix"), []
    monkeypatch.setattr(service, "AnswerWatch", lambda asked: AnswerWatch(asked, lambda: arm.now_s))
    with front_door(tmp_path, {}, settings, own=[arm], groups=groups) as door:
        text = ""
        for turn in range(12):
            n_read.append(len(text))
            text += f"{turn} ".ljust((8 + turn % 3) * BLOCK, "x")
            door.chat(stream=True, messages=[{"role": "user", "content": text}])
        door.chat(messages=[{"role": "user", "content": "something else " * 200}])
        decided = records(door, "decided")
        policy = door.service.agent.policy
    data = DecisionLog.load(tmp_path / "log")
    saved = data.contexts[:, names_of(groups).index("saved_0") + 8]
    assert (saved[:8] == 0).all()
    np.testing.assert_allclose(saved[8:12], np.tanh(2e-6 * np.array(n_read[8:])), rtol=0.01)
    assert saved[12] == 0
    assert np.allclose(policy.probabilities(data.contexts)[:, 0], [one["propensity"] for one in decided])


def preferences(groups):
    """Learn from conversations on two arms alike; return how often the one whose cache holds them is preferred."""
    rng, columns = np.random.default_rng(0), RequestColumns(("a", "b"), groups)
    encoder = ColumnedEncoder(HashingEncoder(8), groups)
    contexts, actions, rewards, held = [], [], [], []
    for number in range(150):
        text, before = "", rng.integers(2)
        for turn in range(3):
            n_read = len(text)
            text += f"{number} {turn} ".ljust(8 * BLOCK, "x")
            asked, action = request(text), before if turn < 2 else rng.integers(2)
            contexts.append(encoder.encode_query(columns.query("q", asked)))
            known = n_read if action == before else 0
            first_s = 0.02 + 1e-4 * (len(text) - known) + 1e-5 * known
            columns.answered("ab"[action], asked, first_s)
            actions.append(action)
            rewards.append(-first_s)
            held.append(before if turn else -1)
    policy = LinUCB(ucb_width=0.0, arm_names=("a", "b"))
    policy.fit(np.array(contexts), np.array(actions), np.array(rewards), propensities=np.full(len(actions), 0.5))
    chosen = policy.probabilities(np.array(contexts)).argmax(1)
    return np.mean((chosen == held)[(np.array(held) >= 0) & (np.arange(len(held)) > 150)])


def test_a_conversation_stays_where_it_was_read_because_the_policy_learns_what_that_saves():
    assert preferences(("conversation", "prefix")) > 0.95
    assert preferences(("conversation",)) < 0.7
