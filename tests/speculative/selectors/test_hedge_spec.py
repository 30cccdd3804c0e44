import math

import pytest

from speculative.protocols.selector import RoundContext
from speculative.selectors import HedgeSpec
from tests.support.rounds import context, observation, query


def _round(n_new, matches):
    return RoundContext("a", 1, n_new, (True,) * len(matches), match_length=matches.__getitem__)


def _losses(rule, available=(True, True, True)):
    """The sums of losses, up to a constant, read from the probabilities."""
    probabilities = rule.probabilities("a", list(available))
    rate = math.sqrt(8 * math.log(len(available)) / 2)
    return [-math.log(one / probabilities[0]) / rate for one in probabilities]


def test_every_arm_learns_from_a_round_that_another_one_played():
    told = []

    def would_accept(request, arm, n_new):
        told.append((request, arm, n_new))
        return {0: 0, 1: 2, 2: 4}[arm]

    rule = HedgeSpec([0, 4, 4], would_accept=would_accept)
    rule.start(query())
    [first] = rule.select([_round(1, [None, None, None])])
    rule.observe([observation(first, {0: 0, 1: 2, 2: 4}[first])._replace(n_new=3)])
    rule.select([_round(4, [None, None, None])])
    assert told == [("a", arm, 1) for arm in range(3) if arm != first]
    # Three tokens were verified, so at most three count: losses 1, 1/2, 1/4, less the first one's.
    cut = 4 if first == 2 else 3
    assert _losses(rule) == [0.0, pytest.approx(-0.5), pytest.approx(-min(cut, 3) / 4)]


def test_a_look_up_is_judged_by_its_next_match_and_an_idle_model_by_its_own_rounds():
    rule = HedgeSpec([4, 4, 4])  # of no matches, so that the second round's tell
    rule.start(query())
    rule.select([_round(1, [None, 2, None])])
    rule.observe([observation(0, 1)])  # two new tokens
    rule.select([_round(3, [None, 5, None])])  # the look-up had foretold both: loss 1 - 2/4
    assert _losses(rule) == [0.0, pytest.approx(0.5 - 0.75), pytest.approx(0.5 - 0.75)]  # an unknown one loses 1/2


def test_probabilities_are_proportional_to_the_weights_and_pass_over_what_cannot_work():
    rule = HedgeSpec([0, 4, 4])
    rule.start(query())
    assert rule.probabilities("a", [True, True, True]) == pytest.approx([1 / 3] * 3)
    assert rule.probabilities("a", [True, False, True]) == pytest.approx([0.5, 0, 0.5])
    rule.finish("a")
    assert rule.n_requests == 0


def test_another_number_of_arms_is_refused():
    rule = HedgeSpec([0, 4])
    rule.start(query())
    with pytest.raises(ValueError, match="made for 2 arms, the engine has 3"):
        rule.select([context([True] * 3)])


@pytest.mark.parametrize("settings", [{"loss_scale": 0.0}, {"seed": -1}])
def test_numbers_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        HedgeSpec([0, 4], **settings)
