import itertools
import time

import pytest

from arms import CallableArm, Query

QUERY = Query(id="q", prompt="Say it twice: yes")


def test_function_gets_query_and_seed_and_its_text_is_observed(monkeypatch):
    clock = itertools.count(start=10.0, step=0.25)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    observation = CallableArm("echo", lambda query, seed: f"{query.text} {seed}", cost=0.5).pull(QUERY, 3)
    assert (observation.arm, observation.query_id) == ("echo", "q")
    assert observation.text == observation.own_text == "Say it twice: yes 3"
    assert (observation.n_tokens, observation.seconds, observation.cost) == (5, 0.25, 0.5)
    assert (observation.n_rounds, observation.reference) == (0, None)


def test_tokens_are_counted_as_asked():
    arm = CallableArm("echo", lambda query, seed: "abc", count_tokens=len)
    assert arm.pull(QUERY, 0).n_tokens == 3
    assert arm.pull(QUERY, 0).cost is None


def test_only_text_is_taken():
    with pytest.raises(TypeError, match="arm 'none': the function must return a string, got None for 'q'"):
        CallableArm("none", lambda query, seed: None).pull(QUERY, 0)


def test_errors_of_the_function_come_through():
    def fail(query: Query, seed: int) -> str:
        raise TimeoutError("endpoint is down")

    with pytest.raises(TimeoutError, match="endpoint is down"):
        CallableArm("down", fail).pull(QUERY, 0)
