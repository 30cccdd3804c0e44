"""A selector played on a traced text sees, chooses and gets what it does in the engine."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import replay
from speculative.collection.tracing import trace_queries
from speculative.engine.generate import generate
from speculative.pools.pool import Pool
from speculative.protocols.selector import Selector
from speculative.rounds.clairvoyant import clairvoyant_s
from speculative.rounds.playing import play
from speculative.selectors import PriorityRule
from speculative.selectors.fixed import FixedSelector
from speculative.selectors.meta_sd import MetaSD
from tests.support.tiny_models import bounded
from tests.support.tiny_pool import plain_costs, queries, save_pool

LENGTH = 7


class Curious(Selector):
    """Asks all that can be asked, keeps it, and chooses by it in a way that nobody could foresee."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rounds, self.observed = seed, [], []

    def select(self, rounds):
        return [self._one(round_) for round_ in rounds]

    def _one(self, round_):
        matches = tuple(round_.match_length(action) for action in range(len(round_.available)))
        self.rounds.append((round_.n_prompt, round_.n_new, round_.cache_length, round_.available, matches))
        self.rounds.append(round_.certainty())
        known = (self.seed, round_.n_new, sum(match or 0 for match in matches))
        return hash(known) % len(round_.available)

    def observe(self, observations):
        self.observed += [observation[1:5] for observation in observations]


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    pool = Pool.load(save_pool(tmp_path_factory.mktemp("pool")))
    asked = queries(4)
    traces = trace_queries(asked, pool.arms, pool.encoder)
    plans = [ArmPlan.of(arm) for arm in pool.arms]
    return pool, asked, traces, plans, plain_costs("prompt_lookup", "draft_small")


@pytest.mark.parametrize("seed", range(4))
def test_a_played_selector_sees_chooses_and_gets_what_it_does_in_the_engine(traced, seed):
    pool, asked, traces, plans, costs = traced
    query, trace = asked[seed], traces[seed]
    real, played = Curious(seed), Curious(seed)
    engine = pool.target.engine(list(pool.arms), real)
    [generation] = generate(engine, [pool.target.request(query)])
    replayed = play(played, plans, trace, costs)
    assert generation.token_ids == trace.new_ids
    assert played.observed == real.observed
    assert played.rounds[::2] == real.rounds[::2]
    np.testing.assert_allclose(played.rounds[1::2], real.rounds[1::2], atol=1e-4)
    assert replayed.actions == tuple(generation.stats.actions)
    assert replayed.accepted == tuple(generation.stats.accepted)
    assert len(set(replayed.actions)) > 1


def test_a_fixed_selector_is_played_as_its_arm_is_replayed(traced):
    _, _, traces, plans, costs = traced
    for trace in traces:
        for action, plan in enumerate(plans):
            played, replayed = play(FixedSelector(action), plans, trace, costs), replay(trace, plan, costs)
            assert played.seconds == replayed.seconds
            assert (played.proposed, played.accepted) == (replayed.proposed, replayed.accepted)


@pytest.mark.parametrize("least", [0, 1, 3])
def test_a_rule_is_played_as_a_selector_and_as_an_arm_alike(traced, least):
    _, _, traces, plans, costs = traced
    rule = ArmPlan((*plans[2].drafts, *plans[3].drafts), (least,))
    for trace in traces:
        played = play(PriorityRule({2: least}, fallback=3), plans, trace, costs)
        replayed = replay(trace, rule, costs)
        assert played.seconds == pytest.approx(replayed.seconds)
        assert played.accepted == replayed.accepted
        again = play(FixedSelector(1), [plans[0], rule], trace, costs)
        assert (again.seconds, again.accepted) == (replayed.seconds, replayed.accepted)


def test_a_bandit_of_others_is_played_and_forgets_the_query(traced):
    _, _, traces, plans, costs = traced
    selector = MetaSD(LENGTH)
    for trace in traces:
        assert play(selector, plans, trace, costs).seconds > 0
    assert selector.n_requests == 0


def test_an_arm_that_is_not_there_is_refused(traced):
    _, _, traces, plans, costs = traced
    with pytest.raises(ValueError, match=r"the selector must choose an arm in \[0, 4\), got 9"):
        play(FixedSelector(9), plans, traces[0], costs)


class Scripted(Selector):
    """Plays a given sequence of actions, then the first arm."""

    def __init__(self, actions) -> None:
        self.actions = list(actions)

    def select(self, rounds):
        return [self.actions.pop(0) if self.actions else 0 for _ in rounds]


def _least(plans, trace, costs, actions=()):
    """The least seconds of all sequences of actions that begin with these."""
    played = play(Scripted(actions), plans, trace, costs)
    if len(played.actions) <= len(actions):
        return played.seconds
    return min(_least(plans, trace, costs, (*actions, action)) for action in range(len(plans)))


@bounded(max_examples=12)
@given(data=st.data())
def test_the_clairvoyant_is_the_least_of_all_sequences_of_choices(traced, data):
    _, _, traces, plans, _ = traced
    trace = data.draw(st.sampled_from(traces))
    short = _cut(trace, 7)
    costs = plain_costs("prompt_lookup", "draft_small", token_s=data.draw(st.sampled_from([0.0, 0.1, 0.5])))
    chosen = data.draw(st.sampled_from([plans[:2], plans[1:4], [plans[0], plans[3]], [plans[2], plans[3]]]))
    assert clairvoyant_s(chosen, short, costs) == pytest.approx(_least(chosen, short, costs))


def _cut(trace, n_new):
    """The same text, ended early."""
    drafts = {
        name: replace(
            draft,
            proposed=draft.proposed[:n_new],
            accepted=np.minimum(draft.accepted[:n_new], n_new - np.arange(n_new)).clip(0),
            match_lengths=None if draft.match_lengths is None else draft.match_lengths[:n_new],
            confidences=None,
        )
        for name, draft in trace.drafts.items()
    }
    return replace(trace, new_ids=trace.new_ids[:n_new], drafts=drafts)


def test_rules_alone_have_no_clairvoyant(traced):
    _, _, traces, plans, costs = traced
    rule = ArmPlan((*plans[2].drafts, *plans[3].drafts), (1,))
    with pytest.raises(ValueError, match="every plan is a rule"):
        clairvoyant_s([rule], traces[0], costs)
