"""Look-ups are valued on every answer that one's own engine wrote, off its path, in the seconds of that answer."""

import asyncio
import json
import threading
from contextlib import closing

import numpy as np
import pytest

from arms import Observation
from bandits import Agent, Decision, DecisionLog, Learner, Uniform
from bandits.online import Hindsight, LoggedDecision
from bandits.online.hindsight import HINDSIGHT
from bandits.online.records import PolicyVersion
from bandits.online.segments import read_records
from bandits.policies import Hedge
from rewards import SecondsPerToken
from speculative import Pool
from speculative.collection.answer_tokens import AnswerTokens
from speculative.serving.completion_request import read_request
from speculative.serving.engine_arm import EngineArm
from speculative.serving.engine_worker import EngineWorker
from speculative.serving.look_back import LookBack
from speculative.serving.service import Service
from speculative.serving.settings import ServiceSettings
from tests.support.tiny_pool import ARMS, plain_costs, save_pool

REWARD = SecondsPerToken(10.0)
TOLD = ("no_draft", "prompt_lookup_3", "prompt_lookup_7")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool.load(save_pool(tmp_path_factory.mktemp("pool")))


@pytest.fixture
def look_back(pool):
    return LookBack(list(pool.arms), plain_costs(*(draft.name for draft in pool.drafts)), REWARD)


ANSWER = AnswerTokens((1, 2, 3, 1, 2), (3, 1, 2, 3, 9, 1, 2, 3), 20)


def seen(arm, seconds):
    return Observation(arm, "q", text="", n_tokens=8, seconds=seconds)


def test_seconds_are_those_of_the_answer_shared_as_replay_has_them(look_back):
    assert look_back.names == TOLD
    before = look_back.rewards(seen("draft_small_2", 16.0), ANSWER)  # nothing measured yet: as replay has them
    rewards = look_back.rewards(seen("prompt_lookup_3", 40.0), ANSWER)
    assert rewards["prompt_lookup_3"] == pytest.approx(-40.0 / 80)
    ratio = 40.0 / (-before["prompt_lookup_3"] * 80)
    assert rewards["no_draft"] == pytest.approx(ratio * before["no_draft"])
    after = look_back.rewards(seen("draft_small_2", 16.0), ANSWER)  # at the speed that was measured last
    assert after["no_draft"] == pytest.approx(rewards["no_draft"])


def test_a_pool_without_look_ups_is_refused(pool):
    with pytest.raises(ValueError, match="hindsight needs an arm that is a look-up or drafts nothing"):
        LookBack([pool.arms["draft_small_2"]], plain_costs("small"), REWARD)


class Log:
    """Counts what is noted, and says stop after the 103rd."""

    def __init__(self):
        self.n_noted, self.stop = 0, threading.Event()

    def noted(self, kind, record):
        self.n_noted += 1
        if self.n_noted == 103:
            self.stop.set()


def test_a_step_ends_after_a_hundred_answers_and_when_it_is_told_to_stop(look_back):
    chosen = Decision("no_draft", 0, 1.0, {"no_draft": 1.0})
    decision = LoggedDecision(0, 0.0, "q", np.zeros(1, np.float32), chosen, None, PolicyVersion("Uniform", "0", None))
    for _ in range(150):
        look_back.take(decision, seen("no_draft", 1.0), ANSWER)
    log = Log()
    assert [look_back.step(log, log.stop), look_back.step(log, log.stop), look_back.step(log)] == [100, 3, 47]


class Reader:
    """A client that takes everything."""

    async def start(self, headers):
        self.headers = headers

    async def send(self, payload):
        self.last = json.loads(payload)

    async def end(self):
        pass


def test_answers_that_are_served_are_told_of_in_the_log_and_learned(pool, look_back, tmp_path):
    body = {"messages": [{"role": "user", "content": "one two one two"}], "max_tokens": 8, "seed": 1}
    request = read_request("chat/completions", json.dumps(body).encode(), "draftpick")
    worker = EngineWorker(pool)
    arms = [EngineArm(name, worker, "draftpick") for name in ARMS]
    with DecisionLog(tmp_path / "log", sync_every=0) as log:
        agent = Agent(Uniform(ARMS), pool.encoder, log, reward=REWARD, seed=2)
        service = Service(arms, agent, ServiceSettings("no_draft", exploration=1.0, share=0.0))
        service.look_back = look_back
        for _ in range(6):
            asyncio.run(service.answer(request, Reader()))
        asyncio.run(service.close())
        assert look_back.step(log) == 6
    worker.stop()
    records = [placed.record for placed in read_records(tmp_path / "log")]
    told = [Hindsight.from_record(record) for record in records if record["kind"] == HINDSIGHT]
    taken = {record["query"]: record for record in records if record["kind"] == "rewarded"}
    assert {one.query_id for one in told} == set(taken)
    for one in told:
        arm = taken[one.query_id]["observation"]["arm"]
        assert tuple(one.rewards) == TOLD
        assert arm not in TOLD or one.rewards[arm] == pytest.approx(taken[one.query_id]["reward"])
    learner = Learner(Hedge(arm_names=ARMS), tmp_path / "log", tmp_path / "learner", hindsight=TOLD)
    with closing(learner):
        learner.step(whole_batches=False)
    assert learner.policy.learned.per_arm["weights"][:3].tolist() == [6.0] * 3
