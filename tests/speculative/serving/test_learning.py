"""The learning thread keeps its pauses, however many requests come in."""

import threading

import pytest

from arms import Query
from bandits import UCB1, Agent, DecisionLog, HashingEncoder, Learner, LinUCB
from bandits.online.segments import read_records
from bandits.policies import SlidingWindow
from speculative.serving.learning import LearningThread, forgetting
from speculative.serving.service import Service
from speculative.serving.settings import CallerReward, ServiceSettings
from speculative.serving.stage_keeper import StageKeeper
from tests.support.front_door import wait_for
from tests.support.silent_arm import SilentArm


class BusyLearner(Learner):
    """Finds something new in the log at every step."""

    sizes = iter([10, 10, 3, *[1] * 10_000])

    def step(self, *, whole_batches=True):
        self.seen.append(next(self.sizes))
        return self.seen[-1]


class NotedKeeper(StageKeeper):
    """Notes that the steps of learning are over."""

    def step(self):
        self.seen.append("pause")
        if self.seen.count("pause") == 3:
            self.enough.set()


def test_only_a_full_batch_is_followed_by_the_next_one_at_once(tmp_path):
    settings = ServiceSettings("a", rewards="caller", learn_every_s=0.001)
    policy = LinUCB(arm_names=("a",))
    with DecisionLog(tmp_path / "log", sync_every=0) as log:
        agent = Agent(policy, HashingEncoder(4), log, reward=CallerReward(0.0))
        service = Service([SilentArm("a")], agent, settings)
        learner = BusyLearner(policy, log.folder, tmp_path / "learner", batch=10)
        keeper = NotedKeeper(service)
        learner.seen = keeper.seen = []
        keeper.enough = threading.Event()
        learning = LearningThread(service, learner, keeper)
        learning.start()
        assert keeper.enough.wait(10)
        learning.stop()
        learner.close()
        service.end_writing()
    assert keeper.seen[:8] == [10, 10, 3, "pause", 1, "pause", 1, "pause"]


def test_an_arm_that_is_forgotten_is_noted_with_its_reason(tmp_path):
    settings = ServiceSettings("a", rewards="caller", learn_every_s=0.001)
    policy = forgetting(UCB1(arm_names=("a",)), 0.999, None, 5.0)
    with DecisionLog(tmp_path / "log", sync_every=0) as log:
        agent = Agent(policy, HashingEncoder(4), log, reward=CallerReward(0.0))
        service = Service([SilentArm("a")], agent, settings)
        for number in range(100):
            agent.choose(Query(id=str(number), prompt="x"))
            agent.reward(str(number), (0.8 if number < 80 else 0.1) + 0.01 * (number % 3))
        learner = Learner(policy, log.folder, tmp_path / "learner")
        learning = LearningThread(service, learner, StageKeeper(service))
        learning.start()
        wait_for(lambda: "draftpick:resets_total" in service.metrics.page())
        learning.stop()
        learner.close()
        service.end_writing()
        [noted] = [one.record for one in read_records(log.folder) if one.record["kind"] == "reset"]
    assert (noted["arm"], noted["number"]) == ("a", 1)
    assert noted["reason"].startswith("rewards of a fell below what was predicted")


def test_what_was_forgotten_before_serving_is_noted_and_adopted_even_where_the_log_takes_no_note(tmp_path, monkeypatch):
    policy = forgetting(UCB1(arm_names=("a",)), 0.999, None, 5.0)
    with DecisionLog(tmp_path / "log", sync_every=0) as log:
        agent = Agent(policy, HashingEncoder(4), log, reward=CallerReward(0.0))
        service = Service([SilentArm("a")], agent, ServiceSettings("a", rewards="caller"))
        for number in range(100):
            agent.choose(Query(id=str(number), prompt="x"))
            agent.reward(str(number), (0.8 if number < 80 else 0.1) + 0.01 * (number % 3))
        learner = Learner(policy, log.folder, tmp_path / "learner")
        learning = LearningThread(service, learner, StageKeeper(service))
        learning.catch_up()
        monkeypatch.setattr(log, "noted", full_disk)
        with pytest.raises(OSError, match="No space left"):
            learning.start()
        monkeypatch.undo()
        assert service.chosen == (learner.policy, "100")
        learning.start()
        learning.stop()
        learner.close()
        service.end_writing()
        [noted] = [one.record for one in read_records(log.folder) if one.record["kind"] == "reset"]
    assert noted["arm"] == "a"
    assert "draftpick:learned_decisions 100" in service.metrics.page()


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_one_way_to_forget_is_asked_for():
    assert isinstance(forgetting(UCB1(), None, 10, None), SlidingWindow)
    assert isinstance(forgetting(UCB1(), None, None, None), UCB1)
    with pytest.raises(ValueError, match="two ways to forget"):
        forgetting(UCB1(), 0.9, 10, None)
