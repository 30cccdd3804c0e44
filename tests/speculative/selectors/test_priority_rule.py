import pytest

from speculative.selectors import PriorityRule
from tests.support.rounds import context, observation, query

NONE, LOOK_UP, MODEL, LONG = 0, 1, 2, 3  # plain decoding, a look-up, a draft model, another look-up
ALL = (True, True, True, True)

LLAMA_CPP = PriorityRule({LONG: 1, LOOK_UP: 1, MODEL: 0}, fallback=NONE)
THRESHOLD = PriorityRule({LOOK_UP: 4}, fallback=MODEL)


@pytest.mark.parametrize(
    ("rule", "available", "match_lengths", "expected"),
    [
        (LLAMA_CPP, ALL, {LONG: 1, LOOK_UP: 9}, LONG),
        (LLAMA_CPP, ALL, {LONG: 0, LOOK_UP: 1}, LOOK_UP),
        (LLAMA_CPP, ALL, {LONG: 0, LOOK_UP: 0}, MODEL),
        (LLAMA_CPP, (True, True, False, True), {LONG: 0, LOOK_UP: 0}, NONE),
        (LLAMA_CPP, (True, True, True, False), {LOOK_UP: 2}, LOOK_UP),
        (LLAMA_CPP, (True, False, False, False), {}, NONE),
        (LLAMA_CPP, ALL, {LONG: None, LOOK_UP: 1}, LOOK_UP),  # disabled while it was asked
        (THRESHOLD, ALL, {LOOK_UP: 5}, LOOK_UP),
        (THRESHOLD, ALL, {LOOK_UP: 4}, LOOK_UP),
        (THRESHOLD, ALL, {LOOK_UP: 3}, MODEL),
        (THRESHOLD, (True, False, True, True), {}, MODEL),
        (THRESHOLD, (True, True, False, True), {LOOK_UP: 3}, NONE),
        (THRESHOLD, (False, True, False, True), {LOOK_UP: 3}, LOOK_UP),
        (THRESHOLD, (False, False, False, True), {}, LONG),
        (THRESHOLD, (False, False, False, False), {}, MODEL),
        (PriorityRule({MODEL: 0, LOOK_UP: 1}, fallback=NONE), ALL, {}, MODEL),
        (PriorityRule({MODEL: 1}, fallback=NONE), ALL, {MODEL: None}, NONE),
        (PriorityRule({}, fallback=MODEL), ALL, {}, MODEL),
    ],
)
def test_the_first_arm_with_a_match_long_enough_is_chosen(rule, available, match_lengths, expected):
    # `match_lengths` holds the only arms that may be asked: none that is unavailable, none after the one chosen.
    [choice] = rule.select([context(available, match_lengths)])
    assert choice == expected


def test_each_request_is_judged_by_its_own_round_and_nothing_is_remembered():
    rounds = [context(ALL, {LOOK_UP: length}, f"query-{length}") for length in (3, 4, 0, 8)]
    expected = [MODEL, LOOK_UP, MODEL, LOOK_UP]
    assert THRESHOLD.select(rounds) == expected
    THRESHOLD.start(query("query-3"))
    THRESHOLD.observe([observation(LOOK_UP, 4, "query-3"), observation(MODEL, 0, "query-4")])
    THRESHOLD.finish("query-8")
    assert THRESHOLD.select(rounds[::-1]) == expected[::-1]


def test_the_order_is_the_callers_and_cannot_be_changed_later():
    lengths = {LONG: 1, LOOK_UP: 1}
    rule = PriorityRule(lengths, fallback=NONE)
    lengths.clear()
    assert rule.select([context(ALL, {LONG: 1})])[0] == LONG


@pytest.mark.parametrize(
    ("min_match_lengths", "fallback", "message"),
    [
        ({-1: 2}, 0, "min_match_lengths: an action must be an integer >= 0, got -1"),
        ({1: -2}, 0, "min_match_lengths: the length of arm 1 must be an integer >= 0, got -2"),
        ({1: 2}, -1, "fallback must be an integer >= 0, got -1"),
        ({1: 2}, 1, "fallback must not be in min_match_lengths as well, got 1"),
    ],
)
def test_what_makes_no_sense_is_refused(min_match_lengths, fallback, message):
    with pytest.raises(ValueError, match=message):
        PriorityRule(min_match_lengths, fallback=fallback)


@pytest.mark.parametrize("rule", [PriorityRule({4: 1}, fallback=0), PriorityRule({1: 0}, fallback=4)])
def test_an_arm_that_the_engine_lacks_is_refused_at_once(rule):
    with pytest.raises(ValueError, match="the rule names arm 4, but the engine has 4 arms"):
        rule.select([context(ALL, {})])
