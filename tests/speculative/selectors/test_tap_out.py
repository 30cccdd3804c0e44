import math

import pytest

from speculative.selectors import TapOut
from tests.support.rounds import observation, play, query, rounds_of


def test_the_reward_is_the_blend_of_length_and_rate():
    rule = TapOut(8, length_share=0.25)
    assert rule.reward(observation(0, 3, n_proposed=4)) == pytest.approx(0.25 * 3 / 8 + 0.75 * 3 / 4)
    assert TapOut(8, length_share=1.0).reward(observation(0, 3)) == 3 / 8
    assert rule.reward(observation(0, 0, n_proposed=0)) == 0.0


def test_bounds_are_those_of_ucb1_by_hand():
    rule = TapOut(4)
    rule.start(query())
    rule.observe([observation(0, 4), observation(1, 0), observation(1, 2)])
    # means 1 and 1/4; 4 ln-rounds: sqrt(2 ln 4 / 1), sqrt(2 ln 4 / 2)
    assert rule.bounds("a", 2) == [
        pytest.approx(1.0 + math.sqrt(2 * math.log(4))),
        pytest.approx(0.25 + math.sqrt(math.log(4))),
    ]


def test_it_comes_to_the_length_with_the_best_blend():
    counts = play(TapOut(4, ucb_width=0.3), 2, 400, rounds_of(1, [0.2, 0.8], 4))
    assert counts[1] > 300


@pytest.mark.parametrize("settings", [{"length_share": 1.5}, {"ucb_width": -0.1}])
def test_numbers_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        TapOut(4, **settings)
