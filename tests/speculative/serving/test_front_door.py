"""The front door is OpenAI's API to a client, and every answer has its decision in the log, exactly once."""

import json
import socket
from collections import Counter
from contextlib import closing
from dataclasses import replace

import openai
import pytest
from serving_bench.scripted_upstream import Script

from bandits import DecisionLog
from speculative.serving.settings import ServiceSettings
from tests.support.front_door import CHAT, LIVE, events, front_door, records, wait_for

LLAMA_CPP = {"timings": {"predicted_n": 4, "draft_n": 9, "draft_n_accepted": 6}}


def test_a_real_client_gets_texts_streams_and_models(tmp_path):
    with (
        front_door(tmp_path, {"a": Script(), "b": Script()}) as door,
        openai.OpenAI(base_url=f"{door.url}/v1", api_key="none", max_retries=0) as client,
    ):
        assert [model.id for model in client.models.list()] == ["draftpick"]
        whole = client.chat.completions.create(**CHAT, max_completion_tokens=9, seed=1, stop=["x"], n=1)
        assert whole.choices[0].message.content == "hello hello hello hello"
        stream = client.chat.completions.create(**CHAT, stream=True)
        assert "".join(chunk.choices[0].delta.content for chunk in stream) == "hello " * 4
        text = client.completions.create(model="draftpick", prompt="say bye", max_tokens=7)
        assert text.choices[0].text == "bye bye bye bye"
        decided, rewarded = records(door, "decided"), records(door, "rewarded")
    assert [one["query"] for one in decided] == [one["query"] for one in rewarded]
    assert len(decided) == 3
    assert all(one["observation"]["n_tokens"] == 4 and one["observation"]["text"] == "" for one in rewarded)
    asked = [body for script in door.scripts.values() for body, _ in script.asked]
    assert sorted(body["max_completion_tokens"] for body in asked if "max_completion_tokens" in body) == [9]


def test_a_stream_ends_with_usage_only_if_that_was_asked_for(tmp_path):
    with front_door(tmp_path, {"a": Script(facts=LLAMA_CPP)}, LIVE) as door:
        plain = events(door.chat(stream=True))
        asked = events(door.chat(stream=True, stream_options={"include_usage": True}))
    assert [plain[-1], asked[-1]] == ["[DONE]", "[DONE]"]
    assert all("usage" not in json.loads(chunk) for chunk in plain[:-1])
    last = json.loads(asked[-2])
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 4)
    assert len(asked) == len(plain) + 1
    assert all(body["stream_options"] == {"include_usage": True} for body, _ in door.scripts["a"].asked)


def test_an_engine_that_refuses_stream_options_is_not_sent_any(tmp_path):
    with front_door(tmp_path, {"a": Script()}, LIVE, first={"asks_for_usage": False}) as door:
        door.chat(stream=True)
        [rewarded] = records(door, "rewarded")
    assert "stream_options" not in door.scripts["a"].asked[0][0]
    assert rewarded["observation"]["n_tokens"] == 4


def test_the_domain_that_a_client_names_is_in_the_log_and_its_metadata_are_passed_on(tmp_path):
    with front_door(tmp_path, {"a": Script()}, LIVE, groups=("tools",)) as door:
        door.chat(metadata={"domain": "code", "user": "7"})
        door.chat()
        door.settle()
        data = DecisionLog.load(tmp_path / "log")
        page = door.get("/draftpick").text
    assert data.domains == ("code", None)
    assert [body.get("metadata") for body, _ in door.scripts["a"].asked] == [{"domain": "code", "user": "7"}, None]
    assert "The same by domain" in page
    assert "code" in page
    assert "(none)" in page


def test_headers_name_decision_and_arm(tmp_path):
    with front_door(tmp_path, {"a": Script()}, LIVE) as door:
        response = door.chat()
        [decided] = records(door, "decided")
    assert (response.headers["x-draftpick-id"], response.headers["x-draftpick-arm"]) == (decided["query"], "a")


def test_in_shadow_the_incumbent_serves_and_the_policys_distribution_is_logged(tmp_path):
    settings = ServiceSettings("b", stage="shadow", exploration=0.0)
    with front_door(tmp_path, {"a": Script(), "b": Script()}, settings) as door:
        arms = [door.chat().headers["x-draftpick-arm"] for _ in range(5)]
        decided = records(door, "decided")
    assert arms == ["b"] * 5
    assert all(one["propensity"] == 1.0 and one["probabilities"] == {"a": 0.0, "b": 1.0} for one in decided)
    assert all(one["proposed"] == pytest.approx({"a": 0.5, "b": 0.5}) for one in decided)


def test_a_canary_serves_its_share_with_exact_propensities(tmp_path):
    settings = ServiceSettings("b", stage="canary", share=0.4, exploration=0.2)
    with front_door(tmp_path, {"a": Script(), "b": Script()}, settings) as door:
        for _ in range(8):
            door.chat()
        decided = records(door, "decided")
    for one in decided:
        expected = {"a": 0.4 * one["proposed"]["a"] + 0.1, "b": 0.4 * one["proposed"]["b"] + 0.1 + 0.4}
        assert one["probabilities"] == pytest.approx(expected)
        assert one["propensity"] == one["probabilities"][one["arm"]]


@pytest.mark.parametrize("fault", ["status", "garbage", "hang"])
@pytest.mark.parametrize("stream", [False, True])
def test_an_arm_that_fails_before_its_first_byte_is_masked_and_another_answers(tmp_path, fault, stream):
    script = Script(fault=fault, n_tokens=1)
    with front_door(tmp_path, {"a": script, "b": Script()}, LIVE, first={"first_byte_s": 0.15}) as door:
        responses = [door.chat(stream=stream) for _ in range(12)]
        decided, rewarded = records(door, "decided"), records(door, "rewarded")
    assert all(response.status_code == 200 and "hello" in response.text for response in responses)
    assert {response.headers["x-draftpick-arm"] for response in responses} == {"b"}
    assert len(script.asked) <= 2  # then its circuit is open; a request may be given up before it arrives
    assert Counter(one["arm"] for one in decided) == {"a": 2, "b": 12}
    assert [one["reward"] for one in rewarded if one["observation"]["failure"]] == [-1.0, -1.0]
    assert {one["query"] for one in decided} == {one["query"] for one in rewarded}


@pytest.mark.parametrize("fault", ["cut", "garbage", "error_event"])
def test_a_stream_that_breaks_off_ends_with_an_error_and_without_done(tmp_path, fault):
    with front_door(tmp_path, {"a": Script(fault=fault)}, LIVE) as door:
        *tokens, last = events(door.chat(stream=True))
        [rewarded] = records(door, "rewarded")
    assert len(tokens) == 2
    assert "arm a broke off" in json.loads(last)["error"]["message"]
    assert rewarded["observation"]["failure"]


def test_what_the_engine_refuses_is_passed_on_and_not_learned_from(tmp_path):
    with front_door(tmp_path, {"a": Script(fault="refuse"), "b": Script(fault="refuse")}) as door:
        response = door.chat(logit_bias={"1": 2})
        [dropped] = records(door, "dropped")
    assert (response.status_code, response.json()["error"]["param"]) == (400, "logit_bias")
    assert dropped["reason"] == "refused with status 400"


def test_without_an_arm_that_answers_there_is_one_clear_error(tmp_path):
    with front_door(tmp_path, {"a": Script(fault="status"), "b": Script(fault="status")}) as door:
        first = door.chat()
        door.chat()
        door.chat()
        masked = door.chat()
        assert door.get("/health").status_code == 503
    assert first.status_code == 502
    assert first.json()["error"]["message"].count("status 503") == 2
    assert (masked.status_code, masked.headers["retry-after"]) == (503, "10")


def test_usage_that_cannot_be_true_is_not_believed(tmp_path):
    with front_door(tmp_path, {"a": Script(fault="lying_usage")}, LIVE) as door:
        door.chat(stream=True, max_tokens=5)
        [rewarded] = records(door, "rewarded")
    assert rewarded["observation"]["n_tokens"] == 4


@pytest.mark.parametrize("first_s", [0.0, 30.0])
@pytest.mark.parametrize("rewards", ["own", "caller"])
def test_a_client_that_leaves_stops_the_upstream_and_its_decision_is_rewarded(tmp_path, first_s, rewards):
    script = Script(n_tokens=10_000, token_s=0.002, first_s=first_s)
    settings = replace(LIVE, rewards=rewards, default_reward=0.25, reward_window_s=0.0)
    with front_door(tmp_path, {"a": script}, settings) as door:
        body = json.dumps({**CHAT, "stream": True}).encode()
        with closing(socket.create_connection(("127.0.0.1", int(door.url.rpartition(":")[2])))) as client:
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s"
                % (len(body), body)
            )
            if first_s:
                wait_for(lambda: script.asked)
            else:
                received = b""
                while received.count(b"hello") < 2:
                    received += client.recv(4096)
        wait_for(lambda: door.service.close_overdue() or records(door, "rewarded"))
        if not first_s:
            wait_for(lambda: script.n_left)
        [rewarded] = records(door, "rewarded")
    if rewards == "caller":
        assert (rewarded["reward"], rewarded["observation"]) == (0.25, None)
    elif first_s:
        assert (rewarded["reward"], rewarded["observation"]["n_tokens"]) == (-1.0, 0)
    else:
        assert 2 <= rewarded["observation"]["n_tokens"] < 10_000


class RaisingArm:
    """Raises what no arm should, before its first payload or after it."""

    n_waiting = 0

    def __init__(self, name, n_payloads):
        self.name, self._n_payloads = name, n_payloads

    async def answer(self, request):
        for _ in range(self._n_payloads):
            yield json.dumps({"choices": [{"delta": {"content": "hello"}}]}).encode()
        raise ZeroDivisionError("words of a text")


@pytest.mark.parametrize("n_payloads", [0, 1])
def test_whatever_an_arm_raises_is_an_observation_that_failed(tmp_path, n_payloads):
    settings = ServiceSettings("b", exploration=0.0)
    with front_door(tmp_path, {"a": Script()}, settings, own=[RaisingArm("b", n_payloads)]) as door:
        answer = door.chat(stream=True)
        decided, rewarded = records(door, "decided"), records(door, "rewarded")
    assert [one["arm"] for one in decided] == (["b"] if n_payloads else ["b", "a"])
    assert [one["query"] for one in rewarded] == [one["query"] for one in decided]
    assert (rewarded[0]["observation"]["failure"], rewarded[0]["reward"]) == ("ZeroDivisionError", -1.0)
    assert ("arm b broke off" in answer.text) == bool(n_payloads)


def test_requests_without_a_key_or_from_another_sites_page_are_refused(tmp_path):
    with front_door(tmp_path, {"a": Script()}, LIVE, keys=("a-key-of-16-signs", "another-of-16-signs")) as door:
        without = door.chat()
        wrong = door.post("/v1/chat/completions", json=CHAT, headers={"authorization": "Bearer no"})
        right = door.post("/v1/chat/completions", json=CHAT, headers={"authorization": "Bearer another-of-16-signs"})
        page = door.get(
            "/v1/models", headers={"origin": "http://elsewhere", "authorization": "Bearer a-key-of-16-signs"}
        )
        assert door.get("/health").status_code == 200
        assert door.get("/metrics").status_code == 401
        logged = b"".join(file.read_bytes() for file in (tmp_path / "log").glob("*.jsonl"))
    assert (without.status_code, wrong.status_code, right.status_code, page.status_code) == (401, 401, 200, 403)
    assert b"16-signs" not in logged
    assert all("authorization" not in headers for _, headers in door.scripts["a"].asked)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"[]", 400, None),
        (b"[" * 50_000, 400, None),
        (b'{"messages": NaN}', 400, None),
        (b'{"messages": []}', 400, "messages"),
        (b'{"messages": "hello"}', 400, "messages"),
        (b'{"messages": [{"content": "\\ud800"}]}', 400, "messages"),
        (b'{"messages": [{"content": "x"}], "n": 0}', 400, "n"),
        (b'{"messages": [{"content": "x"}], "max_tokens": "many"}', 400, "max_tokens"),
        (
            b'{"messages": [{"content": "x"}], "max_tokens": 1, "max_completion_tokens": 2}',
            400,
            "max_completion_tokens",
        ),
        (b'{"messages": [{"content": "x"}], "stream_options": {}}', 400, "stream_options"),
        (b'{"messages": [{"content": "x"}], "model": "gpt-9"}', 404, "model"),
        (b'{"messages": [{"content": "%s"}]}' % (b"x" * 100_000), 413, None),
    ],
)
def test_bad_bodies_get_one_clear_error_and_no_decision(shared_door, body, status, field):
    response = shared_door.post("/v1/chat/completions", content=body)
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["type"]) == (status, field, "invalid_request_error")
    assert records(shared_door, "decided") == []


@pytest.fixture(scope="module")
def shared_door(tmp_path_factory):
    with front_door(tmp_path_factory.mktemp("door"), {"a": Script()}) as door:
        yield door


def test_metrics_have_vllms_names_and_a_label_for_the_arm(tmp_path):
    vllm = {
        "metrics": {
            "speculative_decoding": {
                "num_spec_steps": 3,
                "num_draft_tokens": 12,
                "num_accepted_draft_tokens": 5,
                "per_step_accepted": [3, 0, 2],
            }
        }
    }
    with front_door(tmp_path, {"a": Script(facts=vllm)}, LIVE) as door:
        door.chat()
        door.chat(stream=True)
        door.settle()
        page = door.get("/metrics").text
    for line in (
        'draftpick:spec_decode_num_drafts_total{arm="a"} 6',
        'draftpick:spec_decode_num_draft_tokens_total{arm="a"} 24',
        'draftpick:spec_decode_num_accepted_tokens_total{arm="a"} 10',
        'draftpick:spec_decode_num_accepted_tokens_per_pos_total{arm="a",position="0"} 4',
        'draftpick:spec_decode_num_accepted_tokens_per_pos_total{arm="a",position="2"} 2',
        'draftpick:decisions_total{arm="a",stage="live"} 2',
        'draftpick:time_to_first_token_seconds_count{arm="a"} 1',
        'draftpick:arm_up{arm="a"} 1',
        'draftpick:rewards_total{kind="own"} 2',
    ):
        assert line in page.splitlines()


def test_nothing_is_served_that_cannot_be_logged(tmp_path, monkeypatch):
    with front_door(tmp_path, {"a": Script()}, LIVE) as door:
        monkeypatch.setattr("os.write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        response = door.chat()
        monkeypatch.undo()
        assert response.status_code == 503
        assert door.scripts["a"].asked == []
        assert door.chat().status_code == 200


def test_a_connection_to_an_upstream_is_used_again_after_each_answer(tmp_path):
    script = Script()
    with front_door(tmp_path, {"a": script}, LIVE, first={"health_path": ""}) as door:  # a check connects too
        for stream in (True, True, False, True, True, True):
            door.chat(stream=stream)
        assert len(script.asked) == 6
        assert script.n_connections <= 2  # one more where a client is faster than the end of the stream it has read


@pytest.mark.parametrize("fault", ["endless", "comments"])
def test_a_stream_that_goes_on_after_done_is_cut_off_there(tmp_path, fault):
    with front_door(tmp_path, {"a": Script(fault=fault)}, LIVE) as door:
        assert events(door.chat(stream=True))[-1] == "[DONE]"
        [rewarded] = records(door, "rewarded")
    assert rewarded["observation"]["failure"] is None


def test_a_client_that_leaves_within_its_body_has_no_decision(tmp_path, caplog):
    with front_door(tmp_path, {"a": Script()}, LIVE) as door:
        with closing(socket.create_connection(("127.0.0.1", int(door.url.rpartition(":")[2])))) as client:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{")
        assert door.chat().status_code == 200
        assert len(records(door, "decided")) == 1
    assert not caplog.records
