"""Arms that lose more time against the incumbent than the budget allows are masked; a restart counts on."""

import pytest
from serving_bench.scripted_upstream import Script

from arms import Observation, Query
from bandits import Agent, DecisionLog, HashingEncoder, LinUCB
from bandits.online import TimeBudget
from bandits.online.segments import read_records
from rewards import SecondsPerToken
from speculative.serving.guard import Guard
from speculative.serving.metrics import Metrics
from speculative.serving.service import Service
from speculative.serving.settings import ServiceSettings
from tests.support.front_door import front_door, records
from tests.support.silent_arm import SilentArm

NAMES = ("plain", "draft")


@pytest.fixture
def log(tmp_path):
    with DecisionLog(tmp_path / "log", sync_every=0) as log:
        yield log


def answer(query_id, arm, seconds):
    return Observation(arm, query_id, text="", n_tokens=10, seconds=seconds)


def _guard(log, budget_s=1.0):
    return Guard(TimeBudget(budget_s), "plain", log, Metrics())


def test_the_incumbent_shows_its_pace_first_and_a_losing_arm_is_masked(log):
    guard = _guard(log)
    assert guard.among(NAMES) == ["plain"]
    for i in range(4):
        guard.seen(answer(f"p{i}", "plain", 1.0))
    assert guard.among(NAMES) == ["plain", "draft"]
    guard.began("d", "draft")
    guard.seen(answer("d", "draft", 1.7))  # lost 0.7, and may lose it again
    assert guard.among(NAMES) == ["plain"]


def test_an_answer_that_failed_has_lost_all_its_seconds(log):
    guard = _guard(log)
    for i in range(4):
        guard.seen(answer(f"p{i}", "plain", 1.0))
    guard.began("d", "draft")
    guard.seen(Observation.failed("draft", "d", "timed out", 3.0))
    assert guard.budget.lost_s == 3.0
    guard.began("e", "draft")
    guard.dropped("e")
    assert guard.budget.lost_s == 3.0
    guard.began("f", "draft")
    guard.seen(
        Observation("draft", "f", text="", n_tokens=0, seconds=2.0)
    )  # its client has left before the first token
    assert guard.budget.lost_s == 5.0


def test_nothing_is_masked_where_the_incumbent_cannot_be_asked(log):
    assert _guard(log).among(["draft"]) == ["draft"]


def _service(log, metrics=None):
    settings = ServiceSettings("plain", stage="live", exploration=0.5, conservative=0.5)
    agent = Agent(LinUCB(arm_names=NAMES), HashingEncoder(4), log, reward=SecondsPerToken(1.0), seed=1)
    return Service([SilentArm(name) for name in NAMES], agent, settings, metrics)


def _serve(service, number, seconds):
    """Make one decision as a request makes it, and give it the answer's seconds; return the arm."""
    query = Query(id=f"q{number}", prompt="words")
    decision = service.agent.choose(query, service.guard.among(NAMES))
    service.guard.began(query.id, decision.arm)
    seen = answer(query.id, decision.arm, seconds[decision.arm])
    service.agent.observe(seen)
    service.guard.seen(seen)
    return decision


def test_propensities_are_those_of_the_arms_that_were_left(log):
    service = _service(log)
    decisions = [_serve(service, i, {"plain": 1.0, "draft": 1.4}) for i in range(40)]
    service.end_writing()
    drafted = [d for d in decisions if d.arm == "draft"]
    assert len(drafted) == 1  # lost 0.4; another would be beyond 0.5
    assert all(d.propensity == 1.0 for d in decisions[:4])
    assert decisions[-1].probabilities == {"plain": 1.0, "draft": 0.0}
    assert service.guard.budget.lost_s == pytest.approx(0.4)


def test_a_server_that_starts_again_counts_what_its_log_holds(log):
    first = _service(log)
    for i in range(40):
        _serve(first, i, {"plain": 1.0, "draft": 1.4})
    first.end_writing()
    metrics = Metrics()
    again = _service(log, metrics)
    again.end_writing()
    assert again.guard.budget.lost_s == pytest.approx(first.guard.budget.lost_s)
    assert again.guard.among(NAMES) == ["plain"]
    assert "draftpick:time_lost_seconds 0.4" in metrics.page()
    assert "draftpick:time_budget_seconds 0.5" in metrics.page()


def test_another_budget_begins_anew(log):
    first = _service(log)
    for i in range(40):
        _serve(first, i, {"plain": 1.0, "draft": 1.4})
    first.end_writing()
    assert _guard(log, 0.7).budget.lost_s == 0.0
    assert _guard(log, 0.7).budget.lost_s == 0.0
    assert [
        placed.record["seconds"] for placed in read_records(log.folder) if placed.record["kind"] == "time_budget"
    ] == [
        0.5,
        0.7,
    ]


def test_a_budget_needs_rewards_that_tell_seconds():
    with pytest.raises(ValueError, match="conservative needs rewards 'own'"):
        ServiceSettings("plain", rewards="caller", conservative=1.0)
    with pytest.raises(ValueError, match="conservative must be"):
        ServiceSettings("plain", conservative=-1.0)
    with pytest.raises(ValueError, match=r"got 0\.01 without one: give conservative too"):
        ServiceSettings("plain", conservative_share=0.01)


def test_a_front_door_serves_the_incumbent_alone_until_its_pace_is_known(tmp_path):
    settings = ServiceSettings("a", stage="live", exploration=0.0, conservative=0.0)
    with front_door(tmp_path, {"a": Script(), "b": Script()}, settings) as door:
        for _ in range(4):
            assert door.chat().headers["x-draftpick-arm"] == "a"
        door.settle()
        assert [row["available"] for row in records(door, "decided")] == [["a"]] * 4
        assert "draftpick:decisions_withheld_total 4" in door.get("/metrics").text
