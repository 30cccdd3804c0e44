"""A set of drafts for a query, and an arm of them for each round; saved, loaded and served."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import HashingEncoder
from speculative.engine.generate import generate
from speculative.rounds import (
    CollectedRounds,
    GatedSelector,
    QueryGate,
    TrainingSettings,
    fit_gated_selector,
    fit_speed_selector,
    gated,
    play,
    saved_arms,
)
from speculative.testing import check_selector
from tests.support.tiny_pool import plain_costs

QUICK = TrainingSettings(n_walks=1, n_passes=1, n_prompt_features=2)


@pytest.fixture(scope="module")
def fitted(traced_pool):
    return fit_gated_selector(traced_pool.traces, traced_pool.arms, traced_pool.costs, QUICK, traced_pool.pool.encoder)


def test_the_gate_takes_the_option_of_least_mean_seconds_over_the_nearest():
    contexts = np.array([[0.0], [0.1], [5.0], [5.1]], dtype=np.float32)
    seconds = np.array([[1.0, 2.0], [9.0, 3.0], [4.0, 1.0], [4.0, 6.0]])
    near, wide = (QueryGate.fit(contexts, seconds, n_neighbors=n) for n in (1, 2))
    assert near.choose(np.float32([0.0])) == 0
    assert wide.choose(np.float32([0.0])) == 1  # -0.5 + 3 against 0.5 - 3
    assert near.choose(np.float32([5.2])) == 0
    assert wide.choose(np.float32([5.0])) == 1
    with pytest.raises(ValueError, match="learned with contexts of"):
        near.choose(np.zeros(2, dtype=np.float32))


def test_a_query_unlike_all_gets_what_is_best_on_the_whole_and_the_mean_prompt(traced_pool, fitted):
    contexts = np.array([[0.0], [1.0], [2.0], [3.0]], dtype=np.float32)
    seconds = np.array([[5.0, 0.0], [5.0, 0.0], [5.0, 0.0], [0.0, 1.0]])
    gate = QueryGate.fit(contexts, seconds, n_neighbors=1)
    assert gate.radius == pytest.approx(1.0 / np.std([0, 1, 2, 3]))
    assert gate.choose_known(np.float32([3.9])) == (0, True)
    assert gate.choose_known(np.float32([4.5])) == (1, False)
    plans, trace = list(traced_pool.arms.values()), traced_pool.traces[0]
    far, mean = (replace(trace, context=context) for context in (trace.context + 1e3, fitted.gate.mean.astype("f4")))
    chosen = fitted.selectors[int(fitted.gate.seconds.mean(axis=0).argmin())]
    assert play(fitted, plans, far, traced_pool.costs) == play(chosen, plans, mean, traced_pool.costs)


def test_drafts_left_out_are_never_asked(traced_pool, fitted):
    plans, names = list(traced_pool.arms.values()), list(traced_pool.arms)
    assert [one.left_out for one in fitted.selectors] == [(), ("draft_small",)]
    for trace in traced_pool.traces:
        actions = play(fitted.selectors[1], plans, trace, traced_pool.costs).actions
        assert "draft_small_2" not in {names[action] for action in actions}


def test_it_plays_each_text_as_the_selector_that_its_gate_admits(traced_pool, fitted):
    plans = list(traced_pool.arms.values())
    for trace in traced_pool.traces:
        chosen = fitted.selectors[fitted.gate.choose(trace.context)]
        assert play(fitted, plans, trace, traced_pool.costs) == play(chosen, plans, trace, traced_pool.costs)
    assert fitted.n_requests == 0


def test_where_it_learned_it_is_no_slower_than_the_selector_that_it_was_made_of(traced_pool):
    plans, costs = list(traced_pool.arms.values()), traced_pool.costs
    speed = fit_speed_selector(traced_pool.traces, traced_pool.arms, costs, QUICK)
    both = gated(speed, traced_pool.traces, costs, QUICK)
    own = replace(both.gate, n_neighbors=1)
    sums = [
        sum(play(one, plans, trace, costs).seconds for trace in traced_pool.traces)
        for one in (speed, GatedSelector(both.selectors, own))
    ]
    assert sums[1] <= sums[0] * (1 + 1e-9)


def test_text_is_the_targets_own_with_a_learned_choice_per_round(traced_pool, fitted):
    pool = traced_pool.pool
    engine = pool.target.engine(list(pool.arms), fitted)
    texts = generate(engine, [pool.target.request(query) for query in traced_pool.queries])
    assert [one.token_ids for one in texts] == [trace.new_ids for trace in traced_pool.traces]
    used = {action for one in texts for action in one.stats.actions}
    assert len(used) > 1


def test_what_is_saved_chooses_the_same_on_any_profile_that_has_its_drafts(traced_pool, fitted, tmp_path):
    path = fitted.save(tmp_path)
    again = GatedSelector.load(path, traced_pool.costs)
    assert list(again.layout.arms.items()) == list(fitted.layout.arms.items()) == list(saved_arms(path).items())
    plans = list(traced_pool.arms.values())
    for trace in traced_pool.traces:
        assert play(again, plans, trace, traced_pool.costs) == play(fitted, plans, trace, traced_pool.costs)
    with pytest.raises(ValueError, match="the cost profile lacks draft 'draft_small'"):
        GatedSelector.load(path, plain_costs("prompt_lookup"))
    with pytest.raises(ValueError, match="must have contexts of one encoder"):
        GatedSelector.load(path, traced_pool.costs, HashingEncoder(9))
    fitted.model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="holds a AcceptanceModel, not a GatedSelector: train it with --rounds"):
        GatedSelector.load(tmp_path / "model", traced_pool.costs)


def test_a_query_without_context_is_refused(traced_pool, fitted):
    bare = replace(traced_pool.traces[0], context=None)
    with pytest.raises(ValueError, match="give the selector its encoder"):
        play(GatedSelector(fitted.selectors, fitted.gate), list(traced_pool.arms.values()), bare, traced_pool.costs)


def test_it_keeps_the_contract_of_selectors(traced_pool):
    plain = replace(QUICK, n_prompt_features=0)
    selector = fit_speed_selector(traced_pool.traces, traced_pool.arms, traced_pool.costs, plain)
    found = gated(selector, traced_pool.traces, traced_pool.costs, plain)

    class OneContext(HashingEncoder):
        def encode(self, texts):
            return np.zeros((len(texts), len(traced_pool.traces[0].context)), dtype=np.float32)

    gate = replace(found.gate, encoder=None)
    check_selector(GatedSelector(found.selectors, gate, OneContext(8)), 4)


def test_held_out_rounds_of_other_arms_or_the_same_prompts_are_refused(traced_pool):
    rounds = CollectedRounds(traced_pool.traces, traced_pool.arms, traced_pool.costs, "target")
    with pytest.raises(ValueError, match="6 held-out prompts are training prompts too"):
        rounds.check_fits(rounds)
    with pytest.raises(ValueError, match="of one target and the same arms"):
        rounds.check_fits(replace(rounds, target="another"))
