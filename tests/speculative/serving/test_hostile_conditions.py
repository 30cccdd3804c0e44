"""Upstreams stall, disks are full, clocks run backwards: one clear answer each, and nothing is counted twice."""

import json
import os

import pytest
from serving_bench.scripted_upstream import Script

from bandits import DecisionLog
from speculative.serving.settings import ServiceSettings
from tests.support.front_door import CHAT, ENVIRONMENT, LIVE, events, front_door, new_policy, records, wait_for

CALLER = ServiceSettings("a", stage="live", exploration=0.0, rewards="caller", default_reward=0.25)


def full_disk(*_):
    raise OSError(28, "No space left on device")


def broken_log(*_):
    raise RuntimeError("an earlier fsync failed")


def full_for_rewards(fd, data, write=os.write):
    return full_disk() if b'"rewarded"' in bytes(data) else write(fd, data)


def test_an_upstream_that_falls_silent_within_a_stream_is_given_up(tmp_path):
    with front_door(tmp_path, {"a": Script(fault="stall")}, LIVE, first={"between_bytes_s": 0.05}) as door:
        *tokens, last = events(door.chat(stream=True))
        [rewarded] = records(door, "rewarded")
    assert len(tokens) == 2
    assert "arm a broke off: silent for 0.05 s" in json.loads(last)["error"]["message"]
    assert rewarded["observation"]["failure"]


@pytest.mark.parametrize("has_length", [True, False])
def test_a_huge_body_is_refused_whether_or_not_it_says_its_length(tmp_path, has_length):
    body = json.dumps({**CHAT, "messages": [{"role": "user", "content": "x" * (10 << 20)}]}).encode()
    parts = body if has_length else iter([body[:60_000], body[60_000:120_000]])
    with front_door(tmp_path, {"a": Script()}, LIVE) as door:
        answer = door.post("/v1/chat/completions", content=parts)
        assert (answer.status_code, records(door, "decided")) == (413, [])
    assert answer.json()["error"]["message"] == "the body must have at most 100,000 bytes"


def test_a_clock_that_runs_backwards_loses_no_decision_and_no_reward(tmp_path, monkeypatch):
    now_s = iter(range(2_000_000_000, 0, -1000))
    monkeypatch.setattr("time.time", lambda: float(next(now_s)))
    with front_door(tmp_path, {"a": Script()}, CALLER) as door:
        first, second = (door.chat().headers["x-draftpick-id"] for _ in range(2))
        assert door.post("/v1/draftpick/reward", json={"id": first, "reward": 1}).json()["counted"]
        assert door.service.close_overdue() == 0
    with front_door(tmp_path, {"a": Script()}, CALLER) as door:
        assert door.post("/v1/draftpick/reward", json={"id": second, "reward": 0.5}).json()["counted"]
    assert DecisionLog.load(tmp_path / "log").rewards.tolist() == [1.0, 0.5]


def test_a_reward_that_cannot_be_written_is_refused_and_may_be_given_again(tmp_path, monkeypatch):
    with front_door(tmp_path, {"a": Script()}, CALLER) as door:
        reward = {"id": door.chat().headers["x-draftpick-id"], "reward": 1}
        door.settle()
        monkeypatch.setattr("os.write", full_disk)
        refused = door.post("/v1/draftpick/reward", json=reward)
        monkeypatch.undo()
        assert (refused.status_code, refused.json()["error"]["message"]) == (503, "the decision log cannot be written")
        assert [door.post("/v1/draftpick/reward", json=reward).json()["counted"] for _ in range(2)] == [True, False]
    assert DecisionLog.load(tmp_path / "log").rewards.tolist() == [1.0]


def test_a_default_reward_that_cannot_be_written_is_tried_again(tmp_path, monkeypatch, caplog):
    settings = ServiceSettings("a", rewards="caller", default_reward=0.25, reward_window_s=0.0, exploration=0.0)
    with front_door(tmp_path, {"a": Script()}, settings) as door:
        door.chat()
        door.settle()
        monkeypatch.setattr("os.write", full_for_rewards)
        wait_for(door.service.close_overdue)
        door.settle()
        monkeypatch.undo()
        assert "a default reward cannot be written, and will be tried again" in caplog.text
        door.service.close_overdue()
        assert [one["reward"] for one in records(door, "rewarded")] == [0.25]


def test_a_default_reward_is_lost_once_where_the_log_takes_nothing_any_more(tmp_path, monkeypatch):
    settings = ServiceSettings("a", rewards="caller", default_reward=0.25, reward_window_s=0.0, exploration=0.0)
    with front_door(tmp_path, {"a": Script()}, settings) as door:
        door.chat()
        monkeypatch.setattr(door.service.agent.log, "rewarded", broken_log)
        wait_for(door.service.close_overdue)
        door.settle()
        assert door.service.close_overdue() == 0
        assert 'draftpick:rewards_total{kind="lost"} 1' in door.get("/metrics").text


def test_a_measured_reward_that_cannot_be_written_is_told_and_dropped_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("os.write", full_for_rewards)
    with front_door(tmp_path, {"a": Script()}, LIVE) as door:
        assert door.chat().status_code == 200
        door.settle()
        assert 'draftpick:rewards_total{kind="lost"} 1' in door.get("/metrics").text
    monkeypatch.undo()
    assert "the log lacks the end of a decision" in caplog.text
    for _ in range(2):
        with front_door(tmp_path, {"a": Script()}, LIVE) as door:
            assert (len(records(door, "decided")), len(records(door, "dropped"))) == (1, 1)


def test_what_arms_took_is_counted_where_their_rewards_cannot_be_written(tmp_path, monkeypatch):
    settings = ServiceSettings("a", stage="live", exploration=0.0, conservative=1000.0)
    monkeypatch.setattr("os.write", full_for_rewards)
    with front_door(tmp_path, {"a": Script(), "b": Script()}, settings) as door:
        for _ in range(4):
            assert door.chat().headers["x-draftpick-arm"] == "a"
        door.settle()
        assert door.service.guard.among(["a", "b"]) == ["a", "b"]


def test_a_policy_for_other_arms_is_refused_and_the_one_that_serves_goes_on(tmp_path):
    with front_door(tmp_path, {"a": Script()}, LIVE) as door:
        with pytest.raises(ValueError, match="the policy chooses among a, b, the pool has a: they must be the same"):
            door.service.adopt(new_policy(("a", "b")), "2")
        assert door.chat().status_code == 200


@pytest.mark.parametrize("fault", ["status", "refuse", "garbage", "cut"])
def test_the_key_of_an_upstream_is_in_no_answer_no_log_and_no_metric(tmp_path, caplog, fault):
    with front_door(
        tmp_path, {"a": Script(fault=fault)}, LIVE, first={"headers": {"Authorization": "UPSTREAM_KEY"}}
    ) as door:
        shown = [door.chat(stream=stream).text for stream in (False, True)] + [door.get("/metrics").text]
        door.settle()
    assert door.scripts["a"].asked[0][1]["authorization"] == ENVIRONMENT["UPSTREAM_KEY"]
    logged = b"".join(file.read_bytes() for file in (tmp_path / "log").glob("*.jsonl")).decode()
    assert "a-secret" not in "".join([*shown, caplog.text, logged])
