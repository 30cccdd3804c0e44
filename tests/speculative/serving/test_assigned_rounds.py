"""A choice at every round is an arm: it writes the target's text, and one that fails ends its own requests only."""

import asyncio
import json
from contextlib import contextmanager

import pytest

from speculative import Pool
from speculative.protocols.selector import Selector
from speculative.serving.completion_request import read_request
from speculative.serving.engine_arm import EngineArm
from speculative.serving.engine_worker import EngineWorker
from speculative.serving.metrics import Metrics
from speculative.serving.problem import ArmFailure
from speculative.serving.seen import Seen
from tests.support.tiny_pool import TEMPLATE, save_pool

BODY = {"messages": [{"role": "user", "content": "count: one two one two"}], "temperature": 0, "max_tokens": 12}
REQUEST = read_request("chat/completions", json.dumps(BODY).encode(), "draftpick")


class InTurn(Selector):
    """Takes the pool's arms in turn."""

    def __init__(self, fault="nothing"):
        self.n_rounds, self.fault, self.running = 0, fault, set()

    def start(self, query):
        self.running.add(query.request.id)
        self.raise_at("start")

    def select(self, rounds):
        self.raise_at("select")
        assert {one.request_id for one in rounds} <= self.running
        self.n_rounds += 1
        wrong = {"no such arm": [4] * len(rounds), "one too many": [0] * (len(rounds) + 1)}
        return wrong.get(self.fault, [self.n_rounds % 4] * len(rounds))

    def observe(self, observations):
        assert {one.request_id for one in observations} <= self.running
        self.raise_at("observe")

    def finish(self, request_id):
        self.running.remove(request_id)
        self.raise_at("finish")

    def raise_at(self, place):
        if self.fault == place:
            raise LookupError("no such choice")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    return Pool.load(save_pool(folder, TEMPLATE), folder / "cache")


@contextmanager
def stepping(pool):
    worker = EngineWorker(pool)
    try:
        yield worker
    finally:
        worker.stop()


async def answered(arm):
    [payload] = [payload async for payload in arm.answer(REQUEST)]
    return json.loads(payload)["choices"][0]["message"]["content"]


async def all_at_once(*arms):
    return await asyncio.gather(*(answered(arm) for arm in arms), return_exceptions=True)


def test_requests_with_a_choice_per_round_and_with_one_arm_run_together_and_write_the_targets_text(pool):
    metrics, seen, selector = Metrics(), Seen(), InTurn()
    with stepping(pool) as worker:
        by_round = EngineArm("in_turn", worker, "draftpick", selector=selector, seen=seen, metrics=metrics)
        seen.watched()
        texts = asyncio.run(all_at_once(by_round, by_round, *(EngineArm(n, worker, "m") for n in pool.arms.names)))
    assert len(set(texts)) == 1
    counts = metrics.values("rounds_by_choice_total")
    assert {arm for arm, _ in counts} == {"in_turn"}
    assert len(counts) > 1
    assert not selector.running
    [explain] = seen.answers  # the token-by-token view tells the arm of each round
    answer = explain()
    assert answer.text == texts[0]
    assert len({one.report.arm for one in answer.rounds}) > 1


@pytest.mark.parametrize("fault", ["start", "select", "observe", "finish", "no such arm", "one too many"])
def test_a_selector_that_fails_ends_its_own_requests_and_no_others(pool, fault):
    with stepping(pool) as worker:
        plain = EngineArm("no_draft", worker, "draftpick")
        faulty = EngineArm("faulty", worker, "draftpick", selector=InTurn(fault))
        failed, whole, other = asyncio.run(
            all_at_once(faulty, plain, EngineArm("in_turn", worker, "m", selector=InTurn()))
        )
        assert asyncio.run(answered(plain)) == whole == other
    assert isinstance(failed, ArmFailure)
    assert failed.kind == ("ValueError" if " " in fault else "LookupError")
