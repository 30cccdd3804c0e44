import random

import numpy as np
import pytest

from bandits.online import TimeBudget
from speculative.collection.arm_plan import ArmPlan
from speculative.drafts import NoDraft, PromptLookup
from speculative.protocols.selector import RoundContext, RoundObservation, Selector
from speculative.rounds import AcceptanceModel, AcceptedCounts, RecordLayout, SpeedSelector
from speculative.selectors import Conservative, EXP3Spec, FixedSelector
from speculative.testing import check_selector
from tests.support.rounds import observation, query
from tests.support.tiny_pool import plain_costs

PLAIN_S = 0.01


class Watched(FixedSelector):
    """Always the same arm; remembers what it was told."""

    def __init__(self, action):
        super().__init__(action)
        self.seen = []

    def observe(self, observations):
        self.seen += [one.action for one in observations]


class EachItsOwn(Selector):
    """An arm for each request by its name."""

    def __init__(self, actions):
        self.actions = actions

    def select(self, rounds):
        return [self.actions[one.request_id] for one in rounds]


class Adversary(Selector):
    """Knows the budget, and spends it as fast as it can: an arm that saves until there is room, then one that loses."""

    def __init__(self, budget):
        self.budget = budget

    def select(self, rounds):
        return [2 if self.budget.allows(2, len(rounds)) else 1] * len(rounds)


def _played(guard, n_requests, rng, n_at_once=1):
    """Serve requests; return the most seconds lost against no draft, the largest loss of a step, and the last sum."""
    lost = largest = 0.0
    highest, running, n_started = 0.0, {}, 0
    while n_started < n_requests or running:
        while n_started < n_requests and len(running) < n_at_once:
            running[f"r{n_started}"] = 1 + rng.randrange(4)
            guard.start(query(f"r{n_started}"))
            n_started += 1
        names = list(running)
        actions = guard.select([RoundContext(name, 5, 1, (True,) * 3, n_running=len(names)) for name in names])
        told = [_outcome(name, action, rng) for name, action in zip(names, actions, strict=True)]
        guard.observe(told)
        step = sum(one.seconds - one.n_new * PLAIN_S for one in told)
        lost, largest = lost + step, max(largest, step)
        highest = max(highest, lost)
        for name in names:
            running[name] -= 1
            if running[name] == 0:
                del running[name]
                guard.finish(name)
    return highest, largest, lost


def _outcome(name, action, rng):
    if action == 0:
        return RoundObservation(name, 0, 0, 0, 1, PLAIN_S)
    n_new = 1 + rng.randrange(5) if action == 1 else 1
    seconds = PLAIN_S * (1.5 if action == 1 else rng.choice((3.0, 8.0, 40.0)))
    return RoundObservation(name, action, 4, n_new - 1, n_new, seconds)


@pytest.mark.parametrize(
    ("budget_s", "n_at_once", "n_requests"), [(0.3, 1, 10_000), (0.0, 1, 1_000), (2.0, 1, 1_000), (0.3, 3, 1_000)]
)
def test_an_adversary_never_loses_more_than_the_budget_and_one_round(budget_s, n_at_once, n_requests):
    budget = TimeBudget(budget_s, pace_s=PLAIN_S)
    guard = Conservative(Adversary(budget), budget, plain=0)
    highest, largest, _ = _played(guard, n_requests, random.Random(3), n_at_once)
    assert highest <= budget_s + largest
    assert budget.n_withheld > 0
    assert budget.most_lost_s == pytest.approx(highest)


def test_where_the_pace_is_measured_the_bound_holds_too():
    budget = TimeBudget(0.3)
    highest, largest, _ = _played(Conservative(Adversary(budget), budget, plain=0), 2_000, random.Random(4))
    assert highest <= 0.3 + largest


def test_an_arm_that_saves_is_followed_but_for_audits():
    inner = Watched(1)
    guard = Conservative(inner, 0.1, plain=0, audit_share=0.05)
    _, _, lost = _played(guard, 1_000, random.Random(5))
    assert lost < 0
    assert 0.02 < inner.seen.count(0) / len(inner.seen) < 0.09


def test_an_arm_that_only_loses_is_given_up_once_the_budget_is_spent():
    inner = Watched(2)
    guard = Conservative(inner, 0.5, plain=0)
    _played(guard, 1_000, random.Random(6))
    assert inner.seen.count(2) < 30
    assert set(inner.seen[-100:]) == {0}


def test_a_growing_budget_tries_it_again():
    inner = Watched(2)
    _played(Conservative(inner, TimeBudget(0.5, share=0.05), plain=0), 2_000, random.Random(7))
    assert 2 in inner.seen[-1_000:]


def test_the_first_steps_at_each_number_of_requests_draft_nothing():
    guard = Conservative(FixedSelector(1), 5.0, plain=0, audit_share=0.0)
    undrafted = {}
    for n_running in (1, 3):
        names = [f"r{i}" for i in range(n_running)]
        undrafted[n_running] = 0
        for _ in range(9):
            actions = guard.select([RoundContext(name, 5, 1, (True,) * 2, n_running=n_running) for name in names])
            undrafted[n_running] += set(actions) == {0}
            told = [(name, action, 0.02 if action else 0.01) for name, action in zip(names, actions, strict=True)]
            guard.observe([RoundObservation(name, action, 0, 0, 1, seconds) for name, action, seconds in told])
    assert undrafted == {1: 4, 3: 2}  # two steps of three requests show six rounds


def test_a_selector_that_divides_by_its_probabilities_learns_nothing_of_rounds_withheld():
    rule = EXP3Spec(4, seed=0)
    guard = Conservative(rule, 0.0, plain=0)  # measures its pace first: all rounds are withheld
    guard.start(query())
    for _ in range(4):
        guard.select([RoundContext("a", 5, 1, (False, True, True))])
        guard.observe([RoundObservation("a", 0, 0, 0, 1, 0.01)])
    assert np.allclose(rule.probabilities("a", (True, True, True)), 1 / 3)


def test_a_round_that_was_withheld_counts_with_the_seconds_of_the_arm_that_was_run():
    layout = RecordLayout({"plain": ArmPlan.fixed("no_draft", 0), "draft": ArmPlan.fixed("draft", 6)})
    records = np.zeros((400, len(layout.names)), dtype=np.float32)
    records[:, 0] = 1.0
    counts = AcceptedCounts(records, {"draft": np.full(400, 6)}, {"draft": np.full(400, 2)})
    model = AcceptanceModel(layout, ridge=0.01).fit(counts)
    selector = SpeedSelector(model, plain_costs("draft", token_s=0.3), rate=0.5, inertia=0.0)
    guard = Conservative(selector, 0.0, plain=0)
    round_, chosen = RoundContext("a", 5, 1, (True, True)), []
    selector.on_choice = lambda round_, record, action: chosen.append(action)
    guard.start(query())
    for _ in range(2):
        assert guard.select([round_]) == [0]
        guard.observe([observation(0, 0, n_proposed=0)])
    assert chosen == [1, 0]  # a token in a second by now: three tokens in three and a half are too few


def test_the_choosing_of_arms_is_time_lost_where_it_drafts_and_not_the_pace_of_no_draft():
    budget = TimeBudget(1.0)
    guard = Conservative(FixedSelector(1), budget, plain=0, audit_share=0.0)
    for _ in range(4):
        assert guard.select([RoundContext("a", 5, 1, (True, True))]) == [0]
        guard.observe([RoundObservation("a", 0, 0, 0, 1, 0.03, select_s=0.02)])
    assert budget.pace(1) == pytest.approx(0.01)
    assert guard.select([RoundContext("a", 5, 1, (True, True))]) == [1]
    guard.observe([RoundObservation("a", 1, 4, 1, 2, 0.04, select_s=0.02)])
    assert budget.lost_s == pytest.approx(0.02)


def test_a_plain_round_beside_a_drafted_one_that_raised_is_not_the_pace_of_no_draft():
    budget = TimeBudget(1.0)
    guard = Conservative(EachItsOwn({"a": 0, "b": 1}), budget, plain=0, audit_share=0.0)
    rounds = [RoundContext(name, 5, 1, (True, True), n_running=2) for name in ("a", "b")]
    for _ in range(2):
        assert guard.select(rounds) == [0, 0]
        guard.observe([RoundObservation(name, 0, 0, 0, 1, PLAIN_S) for name in ("a", "b")])
    assert guard.select(rounds) == [0, 1]
    guard.observe([RoundObservation("a", 0, 0, 0, 1, 40 * PLAIN_S)])
    assert budget.pace(2) == pytest.approx(PLAIN_S)
    assert budget.lost_s == pytest.approx(39 * PLAIN_S)


def test_it_keeps_the_contract_of_selectors():
    check_selector(Conservative(FixedSelector(2), 0.02, plain=0), 4)


class Arm:
    def __init__(self, draft, draft_length):
        self.name, self.draft, self.draft_length = f"{draft.name}_{draft_length}", draft, draft_length


def test_the_arm_without_a_draft_is_found_among_the_engines():
    arms = [Arm(PromptLookup(), 4), Arm(NoDraft(), 0)]
    assert Conservative.over(FixedSelector(0), 1.0, arms).plain == 1
    with pytest.raises(ValueError, match="an arm without a draft to fall back on, got prompt_lookup_4"):
        Conservative.over(FixedSelector(0), 1.0, arms[:1])
