"""The learning thread keeps its pauses, however many requests come in."""

import threading
from itertools import repeat

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

    sizes = iter([10, 12, 3, *[1] * 10_000])  # others have learned 2 of the 12

    def step(self, *, whole_batches=True):
        self.noted.append(next(self.sizes))
        return self.noted[-1]


class NotedKeeper(StageKeeper):
    """Notes that the steps of learning are over."""

    def step(self):
        self.noted.append("pause")
        if self.noted.count("pause") == 3:
            self.enough.set()


class NotedService(Service):
    """Notes that overdue decisions are closed."""

    def close_overdue(self):
        self.noted.append("overdue")


def steps_of(folder, learner_class, service_class=Service):
    """Let a thread learn for three pauses; return what was noted meanwhile, and the metrics."""
    settings = ServiceSettings("a", rewards="caller", learn_every_s=0.001)
    policy = LinUCB(arm_names=("a",))
    with DecisionLog(folder / "log", sync_every=0) as log:
        agent = Agent(policy, HashingEncoder(4), log, reward=CallerReward(0.0))
        service = service_class([SilentArm("a")], agent, settings)
        learner = learner_class(policy, log.folder, folder / "learner", batch=10)
        keeper = NotedKeeper(service)
        learner.noted = keeper.noted = service.noted = []
        keeper.enough = threading.Event()
        learning = LearningThread(service, learner, keeper)
        learning.start()
        assert keeper.enough.wait(10)
        learning.stop()
        learner.close()
        service.end_writing()
    return keeper.noted, service.metrics.page()


def test_only_a_full_batch_is_followed_by_the_next_one_at_once(tmp_path):
    noted, _ = steps_of(tmp_path, BusyLearner)
    assert noted[:8] == [10, 12, 3, "pause", 1, "pause", 1, "pause"]


class FullLearner(BusyLearner):
    """Finds a full batch at every step."""

    sizes = repeat(10)


def test_a_log_that_grows_faster_than_it_is_learned_keeps_no_other_job_from_its_turn(tmp_path):
    noted, _ = steps_of(tmp_path, FullLearner)
    assert noted[:42] == [*[10] * 20, "pause"] * 2


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


class FailingLearner(Learner):
    """Cannot learn from the log."""

    def step(self, *, whole_batches=True):
        raise ValueError("contexts of another encoder")


def test_a_policy_that_cannot_learn_keeps_neither_default_rewards_nor_stages_from_their_turn(tmp_path, caplog):
    noted, page = steps_of(tmp_path, FailingLearner, NotedService)
    assert noted[:4] == ["overdue", "pause", "overdue", "pause"]
    assert "draftpick:learning_failed 1" in page
    assert "learning failed, and is tried again: ValueError: contexts of another encoder" in caplog.text


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_one_way_to_forget_is_asked_for():
    assert isinstance(forgetting(UCB1(), None, 10, None), SlidingWindow)
    assert isinstance(forgetting(UCB1(), None, None, None), UCB1)
    with pytest.raises(ValueError, match="two ways to forget"):
        forgetting(UCB1(), 0.9, 10, None)


class AskedPolicy(LinUCB):
    """Notes what it chooses by."""

    def _probabilities(self, state, contexts, available):
        self.asked.append(state)
        return super()._probabilities(state, contexts, available)


def test_a_policy_has_chosen_once_before_it_serves_so_that_no_request_waits_for_what_it_must_work_out(tmp_path):
    AskedPolicy.asked = []
    policy = AskedPolicy(arm_names=("a",))
    with DecisionLog(tmp_path / "log", sync_every=0) as log:
        agent = Agent(policy, HashingEncoder(4), log, reward=CallerReward(0.0))
        service = Service([SilentArm("a")], agent, ServiceSettings("a", rewards="caller"))
        agent.choose(Query(id="q", prompt="x"))
        agent.reward("q", 1.0)
        learner = Learner(policy, log.folder, tmp_path / "learner")
        learning = LearningThread(service, learner, StageKeeper(service))
        learning.catch_up()
        learning.start()
        learning.stop()
        learner.close()
        service.end_writing()
    assert service.chosen[1] == "1"
    assert service.chosen[0].state is AskedPolicy.asked[-1]
