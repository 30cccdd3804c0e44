"""Every selector keeps the contract, and the contract catches selectors that do not."""

import random
import re

import numpy as np
import pytest
import torch

from bandits import EpsilonGreedy, HashingEncoder, Uniform
from speculative.protocols.request import Request
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector
from speculative.selectors import SELECTORS as KINDS
from speculative.selectors import AcceptanceGate, EXP3Spec, HedgeSpec, MetaSD, PriorityRule, TapOut, UCBSpec
from speculative.selectors.fixed import FixedSelector
from speculative.selectors.policy_selector import PolicySelector
from speculative.testing import check_selector
from tests.support.hard_cases import RandomSelector

ARMS = ("no_draft", "look_up", "model", "long_look_up")
N_ARMS = len(ARMS)


def _policy_selector(policy):
    return PolicySelector(policy, HashingEncoder(8), ARMS, np.random.default_rng(4))


SELECTORS = {
    "FixedSelector, first arm": lambda: FixedSelector(0),
    "FixedSelector, last arm": lambda: FixedSelector(N_ARMS - 1),
    "RandomSelector": lambda: RandomSelector(N_ARMS, seed=5),
    "PolicySelector": lambda: _policy_selector(Uniform(ARMS)),
    "PolicySelector with other arms": lambda: _policy_selector(EpsilonGreedy(Uniform(ARMS[:0:-1]), epsilon=0.5)),
    "PriorityRule": lambda: PriorityRule({3: 1, 1: 1, 2: 0}, fallback=0),
    "PriorityRule with a threshold": lambda: PriorityRule({1: 4}, fallback=2),
    "PriorityRule with nothing to match": lambda: PriorityRule({0: 2, 3: 9}, fallback=2),
    "AcceptanceGate": lambda: AcceptanceGate(1, 0, window_size=3, threshold=0.5),
    "MetaSD": lambda: MetaSD(4),
    "MetaSD without width": lambda: MetaSD(4, ucb_width=0.0),
    "UCBSpec": lambda: UCBSpec(4),
    "EXP3Spec": lambda: EXP3Spec(4, seed=3),
    "HedgeSpec": lambda: HedgeSpec([0, 3, 2, 4], seed=3),
    "TapOut": lambda: TapOut(4),
    "UCBSpec by time": lambda: UCBSpec(4, ucb_width=0.1, plain_round_s=0.01),
}
SHIPPED = (
    "PriorityRule",
    "PriorityRule with a threshold",
    "MetaSD",
    "UCBSpec",
    "UCBSpec by time",
    "EXP3Spec",
    "HedgeSpec",
    "TapOut",
)


@pytest.mark.parametrize("make_selector", SELECTORS.values(), ids=SELECTORS.keys())
def test_every_selector_keeps_the_contract(make_selector):
    check_selector(make_selector(), N_ARMS)


def test_every_kind_of_selector_is_among_those_checked():
    assert {type(make_selector()) for make_selector in SELECTORS.values()} >= set(KINDS.values())


@pytest.mark.parametrize(
    "make_selector",
    [
        lambda: MetaSD(1),
        lambda: UCBSpec(1),
        lambda: EXP3Spec(1),
        lambda: HedgeSpec([0]),
        lambda: TapOut(1),
        lambda: PriorityRule({}, fallback=0),
    ],
)
def test_one_arm_is_enough(make_selector):
    check_selector(make_selector(), 1)


def _chosen(selector, seed):
    """Play a fixed schedule: four requests at a time join, leave and change places; drafts come and go."""
    rng = random.Random(seed)
    chosen, running, n_started = [], [], 0
    for _ in range(150):
        while len(running) < 4:
            request = Request(f"query-{n_started}", (1, 2), 9, text=f"question {n_started}")
            selector.start(QueryState(request, torch.zeros(3), torch.zeros(3)))
            running.append(request.id)
            n_started += 1
        rng.shuffle(running)
        rounds = []
        for request_id in running:
            available = tuple(arm == 0 or rng.random() < 0.7 for arm in range(N_ARMS))
            lengths = [rng.randrange(8) for _ in range(N_ARMS)]
            rounds.append(RoundContext(request_id, 2, 1, available, match_length=lengths.__getitem__))
        actions = selector.select(rounds)
        chosen += [(r.available, action) for r, action in zip(rounds, actions, strict=True)]
        told = []
        for request_id, action in zip(running, actions, strict=True):
            n_accepted = rng.randrange(5)
            told.append(RoundObservation(request_id, action, 4, n_accepted, n_accepted + 1, 0.01 + 0.01 * rng.random()))
        selector.observe(told)
        if rng.random() < 0.1:
            selector.finish(running.pop(rng.randrange(4)))
    return chosen


@pytest.mark.parametrize("make_selector", SELECTORS.values(), ids=SELECTORS.keys())
def test_the_same_schedule_gives_the_same_choices(make_selector):
    assert _chosen(make_selector(), seed=1) == _chosen(make_selector(), seed=1)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_rules_of_others_choose_available_arms_only(name):
    chosen = _chosen(SELECTORS[name](), seed=2)
    assert all(available[action] for available, action in chosen)
    assert len({action for _, action in chosen}) >= 3  # the schedule was varied enough to mean something


class GoodSelector(Selector):
    """Plays the arms in turn, per request; each broken selector below breaks one rule."""

    n_arms = N_ARMS

    def __init__(self):
        self.n_played = {}

    def start(self, query):
        if query.request.id in self.n_played:
            raise RuntimeError("started twice")
        self.n_played[query.request.id] = 0

    def select(self, rounds):
        return [self.n_played[r.request_id] % self.n_arms for r in rounds]

    def observe(self, observations):
        for observation in observations:
            self.n_played[observation.request_id] += 1

    def finish(self, request_id):
        del self.n_played[request_id]


class OneForAll(GoodSelector):
    def select(self, rounds):
        return [0]


class OneTooMany(GoodSelector):
    def select(self, rounds):
        return [*super().select(rounds), 0]


class Astray(GoodSelector):
    n_arms = N_ARMS + 1


class Negative(GoodSelector):
    def select(self, rounds):
        return [-1 for _ in rounds]


class Fractional(GoodSelector):
    def select(self, rounds):
        return [0.5 for _ in rounds]


class ChangingTheRounds(GoodSelector):
    def select(self, rounds):
        choices = super().select(rounds)
        rounds.clear()
        return choices


class Sorting(GoodSelector):
    """Would give rows of the engine each other's arms."""

    def select(self, rounds):
        rounds.sort(key=lambda r: r.request_id)
        return super().select(rounds)


class NeverForgetting(GoodSelector):
    def finish(self, request_id):
        pass


class ForgettingTooMuch(GoodSelector):
    def finish(self, request_id):
        self.n_played.clear()


class ForgettingOnlyWhatPlayed(GoodSelector):
    """Cannot part with a request that ended before its first round."""

    def start(self, query):
        pass

    def select(self, rounds):
        return [0 for _ in rounds]

    def observe(self, observations):
        self.n_played |= {observation.request_id: 1 for observation in observations}


class GreedyOnly(GoodSelector):
    def select(self, rounds):
        if any(r.temperature > 0 for r in rounds):
            raise RuntimeError("cannot sample")
        return super().select(rounds)


class ReckoningWithAMatch(GoodSelector):
    def select(self, rounds):
        return [int(r.match_length(0) > 3) for r in rounds]


class AskingTooFar(GoodSelector):
    def select(self, rounds):
        for round_ in rounds:
            round_.match_length(N_ARMS)
        return super().select(rounds)


class AskingFromTheEnd(GoodSelector):
    def select(self, rounds):
        for round_ in rounds:
            round_.match_length(-1)
        return super().select(rounds)


class AskingLate(GoodSelector):
    """Would be told of the text that the round has just brought."""

    def select(self, rounds):
        self.rounds = list(rounds)
        return super().select(rounds)

    def observe(self, observations):
        super().observe(observations)
        for round_ in self.rounds:
            round_.match_length(1)


class Drawing(GoodSelector):
    def select(self, rounds):
        self.draw()
        return super().select(rounds)


class DrawingFromRandom(Drawing):
    draw = staticmethod(random.random)


class DrawingFromNumpy(Drawing):
    draw = staticmethod(np.random.rand)


class DrawingFromTorch(Drawing):
    draw = staticmethod(lambda: torch.rand(1))


GLOBAL = ": a global generator of random, numpy or torch must not be used"
BROKEN = {
    OneForAll: "OneForAll: select must give one choice per request, got 1 for 2",
    OneTooMany: "OneTooMany: select must give one choice per request, got 2 for 1",
    Astray: "Astray: an action must be an arm index in [0, 4), got [4",
    Negative: "Negative: an action must be an arm index in [0, 4), got [-1]",
    Fractional: "Fractional: an action must be an arm index in [0, 4), got [0.5]",
    ChangingTheRounds: "ChangingTheRounds: select must leave the list of rounds unmodified",
    Sorting: "Sorting: select must leave the list of rounds unmodified",
    NeverForgetting: "but raised RuntimeError('started twice')",
    ForgettingTooMuch: "ForgettingTooMuch: select must take",
    ForgettingOnlyWhatPlayed: "ForgettingOnlyWhatPlayed: finish must take 'ends-at-once', but raised KeyError",
    GreedyOnly: "but raised RuntimeError('cannot sample')",
    ReckoningWithAMatch: "ReckoningWithAMatch: select must take",
    AskingTooFar: "AskingTooFar: match_length must be asked for an arm in [0, 4), got [4]",
    AskingFromTheEnd: "AskingFromTheEnd: match_length must be asked for an arm in [0, 4), got [-1]",
    AskingLate: "AskingLate: match_length must be asked in select only, before the round begins",
    DrawingFromRandom: GLOBAL,
    DrawingFromNumpy: GLOBAL,
    DrawingFromTorch: GLOBAL,
}


def test_a_good_selector_of_ones_own_passes():
    check_selector(GoodSelector(), N_ARMS)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_every_broken_selector_is_caught(broken):
    with pytest.raises(AssertionError, match=re.escape(BROKEN[broken])):
        check_selector(broken(), N_ARMS)


def test_a_factory_is_checked_as_an_instance_is():
    check_selector(GoodSelector, N_ARMS)
    with pytest.raises(AssertionError, match="Negative: an action must be an arm index"):
        check_selector(Negative, N_ARMS)


def test_what_is_no_selector_is_named():
    with pytest.raises(AssertionError, match="a selector must be an instance of Selector, got 'first arm'"):
        check_selector("first arm", N_ARMS)


def test_a_selector_without_select_cannot_be_made():
    class Silent(Selector):
        pass

    with pytest.raises(TypeError, match="select"):
        Silent()
