"""The learning thread keeps its pauses, however many requests come in."""

import threading

from bandits import Agent, DecisionLog, HashingEncoder, Learner, LinUCB
from speculative.serving.learning import LearningThread
from speculative.serving.service import Service
from speculative.serving.settings import CallerReward, ServiceSettings
from speculative.serving.stage_keeper import StageKeeper
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
