"""A learned choice on another machine: the profile is exchanged, the rate follows plain decoding, the model stays."""

from dataclasses import replace

import pytest

from speculative.rounds import GatedSelector, TrainingSettings, fit_gated_selector, fit_speed_selector, play
from speculative.rounds.training import layout_of

QUICK = TrainingSettings(n_walks=1, n_passes=1, n_prompt_features=2)


def _times(costs, factor):
    """The profile of a machine that takes so many times as long for everything."""
    drafts = {
        name: replace(one, round_s=factor * one.round_s, token_s=factor * one.token_s, read_s=factor * one.read_s)
        for name, one in costs.drafts.items()
    }
    grid = tuple(tuple(factor * cell for cell in row) for row in costs.verify_grid)
    return replace(
        costs, verify_grid=grid, prefill_grid=tuple(factor * cell for cell in costs.prefill_grid), drafts=drafts
    )


@pytest.mark.parametrize("factor", [0.1, 7.0])
def test_a_machine_that_is_slower_in_everything_gets_the_same_choices(traced_pool, factor, tmp_path):
    costs, plans = _times(traced_pool.costs, factor), list(traced_pool.arms.values())
    speed = fit_speed_selector(traced_pool.traces, traced_pool.arms, traced_pool.costs, QUICK)
    moved = speed.with_changes(costs)
    both = fit_gated_selector(traced_pool.traces, traced_pool.arms, traced_pool.costs, QUICK)
    elsewhere = both.with_costs(costs), GatedSelector.load(both.save(tmp_path), costs)
    for trace in traced_pool.traces:
        here = play(speed, plans, trace, traced_pool.costs)
        there = play(moved, plans, trace, costs)
        assert there.actions == here.actions
        assert there.seconds == pytest.approx(factor * here.seconds)
        for one in elsewhere:
            assert play(one, plans, trace, costs).actions == play(both, plans, trace, traced_pool.costs).actions


def test_numbers_that_a_model_is_not_shown_do_not_move_it(traced_pool):
    hidden = replace(QUICK, without=("prompt_", "log_match", "foretold_2"))
    model = fit_speed_selector(traced_pool.traces, traced_pool.arms, traced_pool.costs, hidden).model
    names = layout_of(traced_pool.traces, traced_pool.arms, hidden).names
    for i, name in enumerate(names):
        if name.endswith(("log_match", "foretold_2")) or name.startswith("prompt_"):
            assert (model.weights[:, :, i] == 0).all()
    assert (model.weights != 0).any()
