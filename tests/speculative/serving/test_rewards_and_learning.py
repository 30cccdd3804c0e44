"""A reward counts once, whoever gives it; the server learns from its log, and a restart takes up what was left."""

import pytest
from serving_bench.scripted_upstream import Script

from bandits import DecisionLog
from speculative.serving.settings import ServiceSettings
from tests.support.front_door import LIVE, front_door, records, wait_for

CALLER = ServiceSettings("a", stage="live", exploration=0.0, rewards="caller", default_reward=0.25)


def test_a_callers_reward_is_joined_by_id_and_the_first_counts(tmp_path):
    with front_door(tmp_path, {"a": Script()}, CALLER) as door:
        name = door.chat().headers["x-draftpick-id"]
        answers = [door.post("/v1/draftpick/reward", json={"id": name, "reward": value}) for value in (0.75, 0.5)]
        assert [answer.json()["counted"] for answer in answers] == [True, False]
        [rewarded], [late] = records(door, "rewarded"), records(door, "late")
        data = DecisionLog.load(tmp_path / "log")
    assert (rewarded["reward"], late["reward"], data.rewards.tolist()) == (0.75, 0.5, [0.75])


@pytest.fixture(scope="module")
def shared_door(tmp_path_factory):
    with front_door(tmp_path_factory.mktemp("door"), {"a": Script()}) as door:
        yield door


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b'{"id": "unknown", "reward": 1}', 404, "id"),
        (b'{"id": "unknown", "reward": NaN}', 400, "reward"),
        (b'{"id": "unknown", "reward": 1%s}' % (b"0" * 400), 400, "reward"),
        (b'{"id": "unknown", "reward": true}', 400, "reward"),
        (b'{"id": 7, "reward": 1}', 400, "id"),
        (b'{"id": "unknown"}', 400, None),
        (b"{", 400, None),
    ],
)
def test_bad_rewards_get_one_clear_error(shared_door, body, status, field):
    response = shared_door.post("/v1/draftpick/reward", content=body)
    assert (response.status_code, response.json()["error"]["param"]) == (status, field)


def test_a_reward_out_of_range_is_refused_and_may_be_given_again(tmp_path):
    with front_door(tmp_path, {"a": Script()}, CALLER) as door:
        name = door.chat().headers["x-draftpick-id"]
        wrong = door.post("/v1/draftpick/reward", json={"id": name, "reward": 3})
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "reward")
        assert door.post("/v1/draftpick/reward", json={"id": name, "reward": 1}).json()["counted"]


def test_the_default_reward_counts_once_the_callers_window_is_over(tmp_path):
    settings = ServiceSettings("a", rewards="caller", default_reward=0.25, reward_window_s=0.0, exploration=0.0)
    with front_door(tmp_path, {"a": Script()}, settings) as door:
        name = door.chat().headers["x-draftpick-id"]
        wait_for(door.service.close_overdue)
        [rewarded] = records(door, "rewarded")
        answer = door.post("/v1/draftpick/reward", json={"id": name, "reward": 1}).json()
        page = door.get("/draftpick").text
    assert (rewarded["reward"], answer["counted"]) == (0.25, False)
    assert rewarded["observation"] is None  # its arm did not fail, and the page does not say so
    assert "0.25 failed" not in page


def test_the_server_learns_from_its_log_while_it_serves(tmp_path):
    settings = ServiceSettings("a", exploration=1.0, share=0.0, learn_every_s=0.01)
    with front_door(tmp_path, {"a": Script(), "b": Script()}, settings, learn=True) as door:
        for _ in range(6):
            door.chat()
        wait_for(lambda: "draftpick:learned_decisions 6" in door.get("/metrics").text)
    with front_door(tmp_path, {"a": Script(), "b": Script()}, settings, learn=True) as door:
        door.chat()
        assert records(door, "decided")[-1]["version"] == "6 shadow"


def test_decisions_that_a_killed_server_left_open_are_closed_and_not_learned_from(tmp_path):
    with front_door(tmp_path, {"a": Script()}, CALLER) as door:
        door.chat()
    with front_door(tmp_path, {"a": Script()}, LIVE) as door:
        assert records(door, "dropped")[0]["reason"] == "the server ended before the answer"
    with front_door(tmp_path, {"a": Script()}, LIVE) as door:
        assert len(records(door, "dropped")) == 1
