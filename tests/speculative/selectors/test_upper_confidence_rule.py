"""What MetaSD and UCBSpec share: they differ in reward and width only."""

import math
import random

import pytest

from speculative.selectors import MetaSD, UCBSpec
from tests.support.rounds import context, observation, query

RULES = {
    "MetaSD": lambda: MetaSD(4),
    "UCBSpec": lambda: UCBSpec(4),
    "UCBSpec by time": lambda: UCBSpec(4, plain_round_s=0.01),
}
each_rule = pytest.mark.parametrize("make_rule", RULES.values(), ids=RULES.keys())


def _choose(rule, available, request_id="a"):
    return rule.select([context(available, request_id=request_id)])[0]


@each_rule
def test_every_arm_is_tried_once_before_any_is_tried_again(make_rule):
    rule = make_rule()
    rule.start(query())
    tried = []
    for _ in range(5):
        tried.append(_choose(rule, [True] * 5))
        rule.observe([observation(tried[-1], 4)])
    assert tried == [0, 1, 2, 3, 4]


@each_rule
def test_an_arm_that_becomes_available_late_is_tried_then(make_rule):
    rule = make_rule()
    rule.start(query())
    for available, expected in [((1, 0, 1), 0), ((1, 0, 1), 2), ((1, 1, 1), 1), ((0, 1, 0), 1), ((0, 0, 1), 2)]:
        assert _choose(rule, map(bool, available)) == expected
        rule.observe([observation(expected, 2)])


@each_rule
def test_no_unavailable_arm_is_ever_chosen(make_rule):
    rng = random.Random(1)
    rule = make_rule()
    rule.start(query())
    seen = set()
    for _ in range(500):
        available = [rng.random() < 0.4 for _ in range(6)]
        available[rng.randrange(6)] = True
        action = _choose(rule, available)
        assert available[action]
        seen.add(action)
        rule.observe([observation(action, rng.randrange(5))])
    assert seen == set(range(6))
    assert _choose(rule, [False] * 6) == 0  # a plain step, whichever is named


@each_rule
def test_the_highest_bound_among_the_available_arms_wins(make_rule):
    rng = random.Random(2)
    rule = make_rule()
    rule.start(query())
    for _ in range(300):
        bounds = rule.bounds("a", 4)
        available = [rng.random() < 0.6 for _ in range(4)]
        available[rng.randrange(4)] = True
        action = _choose(rule, available)
        assert bounds[action] == max(bound for bound, usable in zip(bounds, available, strict=True) if usable)
        rule.observe([observation(action, rng.randrange(5), seconds=0.01 + 0.01 * rng.random())])
    assert all(map(math.isfinite, rule.bounds("a", 4)))


@each_rule
def test_a_request_learns_from_its_own_rounds_only(make_rule):
    """Interleaved with others that join, leave and change places, it sees what it would see alone."""

    def outcome(request_id, action, turn):
        return observation(action, random.Random(f"{request_id} {action} {turn}").randrange(5), request_id)

    def alone(request_id):
        rule, actions = make_rule(), []
        rule.start(query(request_id))
        for turn in range(60):
            actions.append(_choose(rule, [True] * 4, request_id))
            rule.observe([outcome(request_id, actions[-1], turn)])
        return actions

    rng, rule = random.Random(3), make_rule()
    actions = {request_id: [] for request_id in "abcdef"}
    waiting, running = list("abcdef"), []
    while waiting or running:
        if waiting and (not running or rng.random() < 0.1):
            running.append(waiting.pop())
            rule.start(query(running[-1]))
        rng.shuffle(running)
        choices = rule.select([context([True] * 4, request_id=request_id) for request_id in running])
        observations = []
        for request_id, choice in zip(running, choices, strict=True):
            observations.append(outcome(request_id, choice, len(actions[request_id])))
            actions[request_id].append(choice)
        rule.observe(observations)
        for request_id in [r for r in running if len(actions[r]) == 60]:
            running.remove(request_id)
            rule.finish(request_id)
    assert actions == {request_id: alone(request_id) for request_id in "abcdef"}


@each_rule
def test_a_finished_request_is_forgotten(make_rule):
    rule = make_rule()
    for n in range(50):
        rule.start(query(f"query-{n}"))
        rule.observe([observation(_choose(rule, [True, True], f"query-{n}"), 1, f"query-{n}")])
        rule.finish(f"query-{n}")
    assert rule.n_requests == 0
    rule.start(query("query-0"))
    assert rule.bounds("query-0", 2) == [math.inf, math.inf]
    rule.finish("query-0")
    rule.finish("never started")


@each_rule
def test_what_was_played_counts_even_if_another_arm_was_chosen(make_rule):
    rule = make_rule()
    rule.start(query())
    assert _choose(rule, [True, True]) == 0
    rule.observe([observation(1, 3)])
    assert rule.bounds("a", 2)[0] == math.inf
    assert _choose(rule, [True, True]) == 0
