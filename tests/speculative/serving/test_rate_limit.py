"""Each caller may send so many requests at once and so many a minute, and is told when the next one may come."""

import pytest
from serving_bench.scripted_upstream import Script

from speculative.serving.rate_limit import MOST_CALLERS, RateLimit
from tests.support.front_door import CHAT, LIVE, front_door, records


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def test_a_bucket_lets_its_burst_through_and_then_one_request_at_a_time():
    clock = Clock()
    limit = RateLimit(60, burst=2, clock=clock)
    assert [limit.wait_s("a") for _ in range(3)] == [0.0, 0.0, 1.0]
    assert limit.wait_s("b") == 0.0
    clock.now_s = 0.25
    assert limit.wait_s("a") == 0.75
    clock.now_s = 1.0
    assert [limit.wait_s("a"), limit.wait_s("a")] == [0.0, 1.0]
    clock.now_s = 1000.0
    assert [limit.wait_s("a") for _ in range(3)] == [0.0, 0.0, 1.0]


def test_no_more_callers_are_remembered_than_fit():
    limit = RateLimit(60, burst=1, clock=Clock())
    for number in range(MOST_CALLERS + 1):
        assert limit.wait_s(str(number)) == 0.0
    assert [limit.wait_s("0"), limit.wait_s(str(MOST_CALLERS))] == [0.0, 1.0]


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (float("nan"), 1), (1, 0)])
def test_limits_that_let_nobody_in_are_refused(rate, burst):
    with pytest.raises(ValueError, match=r"(per_minute|burst) must be"):
        RateLimit(rate, burst)


def test_a_caller_beyond_the_limit_is_told_when_to_come_again_and_others_are_served(tmp_path):
    keys = ("a-key-of-16-signs", "another-of-16-signs")
    headers = [{"authorization": f"Bearer {key}"} for key in keys]
    with front_door(
        tmp_path, {"a": Script()}, LIVE, keys=keys, rate_limit=RateLimit(6, burst=1, clock=Clock())
    ) as door:
        answers = [
            door.post("/v1/chat/completions", json=CHAT, headers=one) for one in (headers[0], headers[0], headers[1])
        ]
        reads = door.get("/v1/models", headers=headers[0])
        assert len(records(door, "decided")) == 2
    assert [answer.status_code for answer in (*answers, reads)] == [200, 429, 200, 200]
    assert answers[1].headers["retry-after"] == "10"
    assert answers[1].json()["error"]["message"] == "too many requests: ask again in 10.0 s"


def test_a_client_cannot_name_another_address_as_its_own(tmp_path):
    with front_door(tmp_path, {"a": Script()}, LIVE, rate_limit=RateLimit(6, burst=1, clock=Clock())) as door:
        answers = [
            door.post("/v1/chat/completions", json=CHAT, headers={"x-forwarded-for": address})
            for address in ("10.0.0.1", "10.0.0.2")
        ]
    assert [answer.status_code for answer in answers] == [200, 429]
