"""Servers that share a folder: each logs its own decisions, a reward finds its own, all serve what all learned."""

import asyncio
import threading
from contextlib import AsyncExitStack, ExitStack, contextmanager

import httpx2
import pytest
from serving_bench.scripted_upstream import ScriptedUpstream

from bandits import KNN, DecisionLog, LinUCB
from bandits.policies import Discounted
from speculative.serving import ServerSettings, ServiceSettings, UpstreamPoolSpec, serve_replicas
from speculative.serving.replica import Replica, claim
from speculative.serving.replica_server import running_replica
from tests.support.front_door import CHAT, NO_TLS, wait_for

CALLER = ServiceSettings("a", stage="live", rewards="caller", learn_every_s=0.01)


class Replicas:
    """Replicas in one event loop of a thread, begun and ended by a test."""

    def __init__(self, folder, pool, **server):
        self.folder, self._pool = folder, pool
        self._server = ServerSettings(folder=folder, columns=(), **server)
        self._loop = asyncio.new_event_loop()
        self._running = []
        self._client = httpx2.Client(trust_env=False, verify=NO_TLS, timeout=20)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def begin(self):
        """Run one more, and return its place in the order in which they began."""
        stack = AsyncExitStack()
        replica = running_replica(self._pool, LinUCB(), CALLER, self._server, {}, "127.0.0.1")
        self._wait(stack.enter_async_context(replica))
        self._running.append(stack)
        return len(self._running) - 1

    def end(self, place):
        self._wait(self._running[place].aclose())

    def close(self):
        self._client.close()
        for place in range(len(self._running)):
            self.end(place)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, job):
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(20)

    def url(self, number):
        return Replica(self.folder, number).url()

    def chat(self, number, **options):
        answer = self._client.post(f"{self.url(number)}/v1/chat/completions", json=CHAT, **options)
        return answer.headers.get("x-draftpick-id")

    def reward(self, number, decision_id, value=1.0, **options):
        body = {"id": decision_id, "reward": value}
        return self._client.post(f"{self.url(number)}/v1/draftpick/reward", json=body, **options)

    def n_learned(self, number):
        page = self._client.get(f"{self.url(number)}/metrics").text
        return next(line for line in page.splitlines() if line.startswith("draftpick:learned_decisions ")).split()[1]


@contextmanager
def replicas(folder, n=2, **server):
    with ExitStack() as stack:
        upstream = stack.enter_context(ScriptedUpstream())
        arms = [{"kind": "upstream", "name": name, "url": upstream.url} for name in "ab"]
        pool = UpstreamPoolSpec.model_validate({"arms": arms, "encoder": {"kind": "hashing", "n_features": 4}})
        them = Replicas(folder, pool, **server)
        stack.callback(them.close)
        for _ in range(n):
            them.begin()
        yield them


def test_a_reward_finds_its_decision_wherever_it_comes_and_all_serve_what_all_learned(tmp_path):
    with replicas(tmp_path) as them:
        made = {number: [them.chat(number) for _ in range(3)] for number in (0, 1)}
        assert all(name.startswith(f"dp-r{number}-") for number, names in made.items() for name in names)
        for number, names in made.items():
            for name in names:
                assert them.reward(1 - number, name).json() == {"id": name, "counted": True}
            assert them.reward(number, names[0]).json()["counted"] is False, "the first reward counts"
        for number in (0, 1):
            wait_for(lambda number=number: them.n_learned(number) == "6")
    for number in (0, 1):
        assert len(DecisionLog.load(tmp_path / f"replica-{number}" / "log")) == 3


def test_what_no_replica_decided_is_unknown_and_the_reasons_of_another_are_passed_on(tmp_path):
    with replicas(tmp_path) as them:
        for unknown in ("dp-r0-0", "dp-r1-0", "dp-r7-0", "dp-0"):
            assert them.reward(0, unknown).status_code == 404
        refused = them.reward(1, them.chat(0), value=3.0)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "reward")
        Replica(tmp_path, 0).announce(them.url(1))  # an address that another has taken since
        assert them.reward(1, "dp-r0-0").status_code == 404


def test_a_replica_that_is_gone_is_told_and_one_that_takes_its_number_goes_on(tmp_path):
    with replicas(tmp_path) as them:
        name = them.chat(0)
        them.end(0)
        gone = them.reward(1, name)
        assert gone.status_code == 503
        assert "replica 0, which made the decision, gave no answer" in gone.json()["error"]["message"]
        them.begin()
        assert them.reward(1, name).json()["counted"]
        wait_for(lambda: them.n_learned(1) == "1")


def test_a_callers_key_goes_with_its_reward(tmp_path):
    key = {"headers": {"authorization": "Bearer 0123456789abcdef"}}
    with replicas(tmp_path, keys=("0123456789abcdef",)) as them:
        name = them.chat(0, **key)
        assert them.reward(1, name).status_code == 401
        assert them.reward(1, name, **key).json()["counted"]


def test_a_replica_takes_the_lowest_free_number_and_draws_its_own_numbers(tmp_path):
    held = [claim(tmp_path) for _ in range(3)]
    assert [replica.number for replica, _ in held] == [0, 1, 2]
    assert len({replica.seed(0) for replica, _ in held}) == 3
    held[1][1].close()
    again, lock = claim(tmp_path)
    assert again.number == 1
    for one in (lock, held[0][1], held[2][1]):
        one.close()


@pytest.mark.parametrize(
    ("policy", "server", "n", "reason"),
    [
        (KNN(), {}, 2, "KNN cannot be merged"),
        (Discounted(LinUCB()), {}, 2, "depends on the order of the rows"),
        (LinUCB(), {"new_arm_rows": 5}, 2, "new_arm_rows must be 0 with replicas, got 5"),
        (LinUCB(), {}, 0, "n_replicas must be .* 1, got 0"),
    ],
)
def test_what_replicas_cannot_share_is_refused_before_any_is_begun(tmp_path, policy, server, n, reason):
    arms = [{"kind": "upstream", "name": "a", "url": "http://127.0.0.1:9"}]
    pool = UpstreamPoolSpec.model_validate({"arms": arms})
    with pytest.raises(ValueError, match=reason):
        serve_replicas(pool, policy, CALLER, ServerSettings(folder=tmp_path, **server), n)
    assert not list(tmp_path.iterdir())
