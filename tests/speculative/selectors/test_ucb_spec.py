import math

import pytest

from speculative.selectors import UCBSpec
from tests.support.rounds import mean_accepted, observation, play, query, rounds_of


def _after(rule):
    """Arm 0 gave 5 tokens in its one round, arm 1 gave 1 and 3."""
    rule.start(query())
    rule.observe([observation(0, 4), observation(1, 0), observation(1, 2)])
    return rule


def test_bounds_by_hand():
    # L = 4, k = 2, t = 3, delta = 1/2.
    # Arm 0: 5 + 2 sqrt(2 (1 + 2 ln(2 * 9 * sqrt(2) / 0.5))) = 5 + 2 sqrt(2 * 8.86018506).
    # Arm 1: 2 + 2 sqrt(3/4 (1 + 2 ln(2 * 9 * sqrt(3) / 0.5))) = 2 + 2 sqrt(0.75 * 9.26565017).
    bounds = _after(UCBSpec(4)).bounds("a", 2)
    assert bounds == [pytest.approx(5 + 2 * 4.20955700), pytest.approx(2 + 2 * 2.63614067)]


def test_each_arm_has_its_own_count():
    """In the published code the radius is the same for all arms, which makes the rule greedy."""
    n_arms = 3
    rule = UCBSpec(4)
    rule.start(query())
    rule.observe([observation(0, 2)] * 1 + [observation(1, 2)] * 5 + [observation(2, 2)] * 25)
    bounds = rule.bounds("a", n_arms)
    assert bounds[0] > bounds[1] > bounds[2] > 3.0  # equal means, 3 tokens a round


def test_an_unknown_arm_and_the_number_of_arms_count():
    bounds = _after(UCBSpec(4)).bounds("a", 3)
    assert bounds[2] == math.inf
    assert bounds[0] > _after(UCBSpec(4)).bounds("a", 2)[0]


def test_settings_act_as_named():
    bare = _after(UCBSpec(4, ucb_width=0.0)).bounds("a", 2)
    assert bare == [5.0, 2.0]
    paper = _after(UCBSpec(4)).bounds("a", 2)
    narrow = _after(UCBSpec(4, ucb_width=0.5)).bounds("a", 2)
    safer = _after(UCBSpec(4, failure_probability=0.01)).bounds("a", 2)
    longer = _after(UCBSpec(8)).bounds("a", 2)
    for arm in (0, 1):
        assert narrow[arm] == pytest.approx((bare[arm] + paper[arm]) / 2)
        assert longer[arm] - bare[arm] == pytest.approx(2 * (paper[arm] - bare[arm]))
        assert safer[arm] > paper[arm]


def test_reward_is_the_rounds_tokens_or_its_speed_against_plain_decoding():
    assert UCBSpec(4).reward(observation(0, 2, seconds=0.5)) == 3.0
    by_time = UCBSpec(4, plain_round_s=0.01)
    assert by_time.reward(observation(0, 2, seconds=0.02)) == pytest.approx(1.5)
    assert by_time.reward(observation(0, 0, seconds=0.01)) == 1.0  # plain decoding
    assert by_time.reward(observation(0, 0, seconds=0.02)) == 0.5  # all rejected, and twice as slow


def test_other_arms_are_played_no_more_often_than_the_analysis_allows():
    """Equation 33: an arm is chosen at round t only if n <= 4 + 2 L^2 / gap^2 (1 + 2 ln(L k t^2 / (gap delta)))."""
    rates, length, n_rounds = (0.2, 0.9, 0.1), 3, 4000
    means = [1 + mean_accepted(rate, length) for rate in rates]
    for seed in range(5):
        counts = play(UCBSpec(length), 3, n_rounds, rounds_of(seed, rates, length))
        assert counts[1] > 0.8 * n_rounds
        for arm in (0, 2):
            gap = means[1] - means[arm]
            log = math.log(length * 3 * n_rounds**2 / (gap * 0.5))
            assert counts[arm] <= 1 + 4 + 2 * length**2 / gap**2 * (1 + 2 * log)


def test_by_time_a_cheap_arm_beats_one_that_is_accepted_more():
    rates, seconds, length = (0.9, 0.8), (0.03, 0.012), 4  # 4.1 against 3.4 tokens a round

    def favourite(rule):
        counts = play(rule, 2, 2000, rounds_of(0, rates, length, seconds))
        assert max(counts) > 0.8 * sum(counts)
        return counts.index(max(counts))

    assert favourite(UCBSpec(length, ucb_width=0.1)) == 0
    assert favourite(UCBSpec(length, ucb_width=0.1, plain_round_s=0.01)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_draft_length": 0}, "max_draft_length must be an integer >= 1, got 0"),
        ({"failure_probability": 0.0}, r"failure_probability must be a finite number > 0, got 0.0"),
        ({"failure_probability": 1.5}, r"failure_probability must be a finite number in \[0, 1\], got 1.5"),
        ({"ucb_width": math.inf}, "ucb_width must be a finite number >= 0, got inf"),
        ({"plain_round_s": 0.0}, "plain_round_s must be a finite number > 0, got 0.0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        UCBSpec(**({"max_draft_length": 4} | arguments))
