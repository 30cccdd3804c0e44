"""An arm that is down is masked before a request meets it, and comes back when it answers; its queue is read too."""

import asyncio
import math
import socket
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest
from serving_bench.scripted_upstream import Script, ScriptedUpstream

from bandits.online import LoggedDecision
from speculative.serving.circuit_breaker import CircuitBreaker
from speculative.serving.health_checks import HealthChecks
from speculative.serving.metrics import Metrics
from speculative.serving.problem import ArmFailure
from speculative.serving.queue_length import queue_length
from speculative.serving.settings import ServiceSettings
from speculative.serving.upstream import Upstream
from tests.support.front_door import N_FEATURES, front_door, records, upstream_spec, wait_for

OFTEN = {"health_every_s": 0.02}


def test_an_arm_that_is_down_is_asked_by_no_request_until_it_is_up_again(tmp_path):
    script = Script(health=503)
    with front_door(tmp_path, {"a": script, "b": Script()}, ServiceSettings("a", exploration=0.0), first=OFTEN) as door:
        breaker = door.service.breakers["a"]
        wait_for(lambda: breaker.is_down)
        assert {door.chat().headers["x-draftpick-arm"] for _ in range(3)} == {"b"}
        assert script.asked == []
        assert "a (down)" in door.get("/draftpick").text
        assert 'draftpick:arm_up{arm="a"} 0' in door.get("/metrics").text
        assert 'draftpick:health_checks_failed_total{arm="a"}' in door.get("/metrics").text
        assert door.get("/health").json()["arms"] == {"a": False, "b": True}
        script.health = 200
        wait_for(lambda: not breaker.is_open)
        assert door.chat().headers["x-draftpick-arm"] == "a"
        assert [one["available"] for one in records(door, "decided")] == [["b"], ["b"], ["b"], None]  # None for all


def checked(url, **settings):
    async def check():
        async with Upstream(upstream_spec("a", url, **settings), {}) as upstream:
            await upstream.check_health()
            return upstream.n_waiting

    return asyncio.run(check())


def test_what_is_found_of_an_arm_that_has_left_says_nothing_of_one_that_took_its_name():
    class Leaving(Upstream):
        async def check_health(self):
            served.arms = {"a": other}
            raise ArmFailure("gone")

    first = Leaving(upstream_spec("a", "http://127.0.0.1:9"), {})
    other = Upstream(upstream_spec("a", "http://127.0.0.1:8", health_path=""), {})
    served = SimpleNamespace(arms={"a": first}, breakers={"a": CircuitBreaker()}, metrics=Metrics())

    async def check():
        async with HealthChecks(served).running():
            while served.arms["a"] is first:
                await asyncio.sleep(0)
            await asyncio.sleep(0)

    asyncio.run(check())
    assert served.breakers["a"].state == "up"


def test_an_arm_that_joins_under_the_name_of_one_that_left_is_asked_at_once():
    class Asked(Upstream):
        async def check_health(self):
            asked.append(self)
            served.arms = {"a": other}

    asked = []
    first, other = (Asked(upstream_spec("a", "http://127.0.0.1:9", health_every_s=60.0), {}) for _ in range(2))
    served = SimpleNamespace(arms={"a": first}, breakers={}, metrics=Metrics())

    async def check():
        async with HealthChecks(served).running():
            while len(asked) < 2:
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(check(), 10.0))
    assert asked == [first, other]


@pytest.mark.parametrize("path", ["/health", "/v1/models"])
def test_a_server_that_answers_is_up_whether_it_knows_the_path_or_not(path):
    with ScriptedUpstream() as server:
        assert checked(server.url, health_path=path) == 0


def test_a_server_that_cannot_be_reached_or_is_silent_is_down():
    with ScriptedUpstream() as server:
        gone = server.url
    with pytest.raises(ArmFailure, match="no connection"):
        checked(gone)

    with closing(socket.create_server(("127.0.0.1", 0))) as silent, pytest.raises(ArmFailure, match=r"within 0\.05 s"):
        checked(f"http://127.0.0.1:{silent.getsockname()[1]}", connect_s=0.05)


@pytest.mark.parametrize(
    ("page", "n"),
    [
        ('vllm:num_requests_waiting{engine="0",model_name="m"} 3.0\nvllm:num_requests_waiting{engine="1"} 4.0\n', 7),
        ("# TYPE llamacpp:requests_deferred gauge\nllamacpp:requests_deferred 5\n", 5),
        ('sglang:num_queue_reqs{model_name="m"} 2.0\nsglang:num_running_reqs{model_name="m"} 9.0\n', 2),
        ("vllm:num_requests_waiting nan\nvllm:num_requests_waiting 1.2.3\nvllm:num_requests_waiting_by_reason 8\n", 0),
        ("", 0),
    ],
)
def test_a_queue_is_as_long_as_the_engines_metrics_say(page, n):
    assert queue_length(page.encode()) == n
    with ScriptedUpstream(Script(metrics=page)) as server:
        assert checked(server.url) == n


def test_what_waits_at_an_arm_has_a_column_of_its_own(tmp_path):
    script = Script(metrics="llamacpp:requests_deferred 7\n")
    with front_door(tmp_path, {"a": script, "b": Script()}, first=OFTEN, groups=("queue",)) as door:
        wait_for(lambda: door.service.arms["a"].n_waiting)
        door.chat()
        [decided] = records(door, "decided")
        assert 'draftpick:waiting_requests{arm="a"} 7' in door.get("/metrics").text
    columns = LoggedDecision.from_record(decided).context[N_FEATURES:]
    np.testing.assert_allclose(columns, [math.log1p(7) / 5] + 7 * [0.0], rtol=1e-6)
