import math
from statistics import mean

import pytest

from speculative.selectors import MetaSD
from tests.support.rounds import mean_accepted, observation, play, query, rounds_of


def test_bounds_by_hand():
    rule = MetaSD(max_draft_length=4)
    rule.start(query())
    rule.observe([observation(0, 4), observation(1, 2), observation(1, 0)])
    # Round 4 is to be chosen: 2 ln 4 = 2.77258872. Arm 0: 1 + sqrt(2.77258872). Arm 1: 0.25 + sqrt(2.77258872 / 2).
    assert rule.bounds("a", 3) == [pytest.approx(2.66510922), pytest.approx(1.42741002), math.inf]


def test_the_width_scales_the_uncertainty_and_nothing_else():
    bounds = {}
    for width in (0.0, 1.0, 3.0):
        rule = MetaSD(4, ucb_width=width)
        rule.start(query())
        rule.observe([observation(0, 4), observation(1, 1), observation(1, 2)])
        bounds[width] = rule.bounds("a", 2)
    assert bounds[0.0] == [1.0, 0.375]
    for arm in (0, 1):
        radius = bounds[1.0][arm] - bounds[0.0][arm]
        assert bounds[3.0][arm] == pytest.approx(bounds[0.0][arm] + 3 * radius)


def test_reward_is_the_accepted_share_of_the_longest_block_whatever_the_round_proposed():
    rule = MetaSD(8)
    assert rule.reward(observation(0, 4, n_proposed=4)) == 0.5
    assert rule.reward(observation(0, 8, n_proposed=8)) == 1.0
    assert rule.reward(observation(0, 0, n_proposed=0)) == 0.0


def test_other_arms_are_played_no_more_often_than_ucb1_may():
    """Auer et al. 2002, Theorem 1: at most 8 ln n / gap^2 + 1 + pi^2 / 3 times on average."""
    rates, length, n_rounds = (0.3, 0.85, 0.6), 4, 2000
    counts = [play(MetaSD(length), 3, n_rounds, rounds_of(seed, rates, length)) for seed in range(10)]
    means = [mean_accepted(rate, length) / length for rate in rates]
    for arm in (0, 2):
        allowed = 8 * math.log(n_rounds) / (means[1] - means[arm]) ** 2 + 1 + math.pi**2 / 3
        assert mean(c[arm] for c in counts) <= allowed < n_rounds
    assert min(c[1] for c in counts) > 0.7 * n_rounds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "max_draft_length must be an integer >= 1, got 0"),
        ((4, -0.1), "ucb_width must be a finite number >= 0, got -0.1"),
        ((4, math.nan), "ucb_width must be a finite number >= 0, got nan"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MetaSD(arguments[0], **dict(zip(["ucb_width"], arguments[1:], strict=False)))
