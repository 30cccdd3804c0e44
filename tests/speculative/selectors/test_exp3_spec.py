import math

import numpy as np
import pytest

from speculative.selectors import EXP3Spec
from tests.support.rounds import context, observation, play, query, rounds_of


def test_probabilities_by_hand():
    # One round with arm a of 2, drawn with probability 1/2, 1 of 4 accepted: loss 3/4, estimate 3/2.
    # rate = sqrt(ln 2 / (2 * 2)) = 0.41627730.
    rule = EXP3Spec(4, seed=0)
    rule.start(query())
    [arm] = rule.select([context([True, True])])
    rule.observe([observation(arm, 1)])
    found = rule.probabilities("a", [True, True])
    weight = math.exp(-0.41627730 * 1.5)
    assert found[arm] == pytest.approx(weight / (1 + weight))
    assert found.sum() == pytest.approx(1.0)


def test_the_losses_that_it_estimates_are_unbiased():
    """Over all draws of the first round, the mean of an arm's estimated loss is its loss."""
    loss = {0: 1.0, 1: 0.25, 2: 0.5}
    totals = np.zeros(3)
    for seed in range(3000):
        rule = EXP3Spec(4, seed=seed)
        rule.start(query())
        [arm] = rule.select([context([True] * 3)])
        rule.observe([observation(arm, round(4 * (1 - loss[arm])))])
        weights = np.log(rule.probabilities("a", [True] * 3))
        estimates = (weights.max() - weights) / math.sqrt(math.log(3) / 6)
        totals += estimates
    np.testing.assert_allclose(totals / 3000, list(loss.values()), atol=0.05)


def test_it_comes_to_the_better_arm_and_forgets_the_request():
    rule = EXP3Spec(4, loss_scale=3.0, seed=1)
    counts = play(rule, 2, 600, rounds_of(1, [0.1, 0.9], 4))
    assert counts[1] > 400
    assert rule.n_requests == 0


@pytest.mark.parametrize("settings", [{"loss_scale": 0.0}, {"seed": -1}])
def test_numbers_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        EXP3Spec(4, **settings)
