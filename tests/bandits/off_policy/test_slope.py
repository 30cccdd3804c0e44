"""SLOPE takes less noise only where the candidates agree."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import IPS, SNIPS, DirectMethod, DoublyRobust
from bandits.off_policy import ConstantReward, DeltaMethod, GivenPredictions, OffPolicyProblem
from bandits.off_policy.estimators import ClippedIPS, RejectionReplay, ShrunkDR, Slope, SwitchDR
from tests.support.enumerated_problem import EnumeratedProblem

PROBLEM = EnumeratedProblem()


def drawn(n_rows, seed=0):
    return PROBLEM.draw(n_rows, np.random.default_rng(seed))


def test_it_takes_the_least_noise_where_all_agree_and_no_bias_where_they_do_not():
    problem = drawn(2000)
    right = GivenPredictions(PROBLEM.mean_rewards[problem.log.contexts.argmax(axis=1)])
    noiseless = OffPolicyProblem(
        replace(problem.log, rewards=np.asarray(right.predictions)[problem.taken]), problem.probabilities
    )
    candidates = (DoublyRobust(right), ShrunkDR(1.0, right), DirectMethod(right))
    assert Slope(candidates, tolerance=1e9).terms(noiseless).value == DirectMethod(right).value(noiseless)
    wrong = ConstantReward(-1.0)
    biased = (DoublyRobust(wrong), ShrunkDR(1.0, wrong), DirectMethod(wrong))
    terms = Slope(biased).terms(problem)
    assert terms.value == DoublyRobust(wrong).value(problem)
    assert terms.notes[-1] == "SLOPE chose DoublyRobust of 3 candidates"
    assert (
        DeltaMethod().interval(terms).refused == "what it chose by the log itself may be biased; DoublyRobust has one"
    )


@pytest.mark.parametrize("seed", range(5))
def test_its_choice_follows_the_rule_written_out(seed):
    problem, settings = drawn(300, seed), (3.0, 2.0, 1.5, 1.2, 1.0)
    found = [SwitchDR(one).terms(problem) for one in settings]
    order = sorted(range(5), key=lambda place: -np.square(found[place].influence).sum())
    chosen = order[0]
    for place, here in enumerate(order[1:], 1):
        differences = [found[here].influence - found[other].influence for other in order[:place]]
        gaps = [abs(found[here].value - found[other].value) for other in order[:place]]
        if any(gap > np.linalg.norm(one) for gap, one in zip(gaps, differences, strict=True)):
            break
        chosen = here
    slope = replace(Slope.over(SwitchDR(), "max_weight", settings), tolerance=1.0)
    assert slope.value(problem) == found[chosen].value


def test_what_it_cannot_choose_among_is_refused():
    with pytest.raises(ValueError, match="candidates must be two or more to choose from, got 1"):
        Slope((IPS(),))
    with pytest.raises(TypeError, match="candidates must be off-policy estimators"):
        Slope((IPS(), SNIPS))
    with pytest.raises(ValueError, match=r"ClippedIPS\(10\) has no setting 'width'; it has max_weight"):
        Slope.over(ClippedIPS(), "width", (1, 2))
    with pytest.raises(ValueError, match="max_weight must be"):
        Slope.over(ClippedIPS(), "max_weight", (0.5, 2))
    with pytest.raises(ValueError, match="candidates must count the same rows"):
        Slope((IPS(), RejectionReplay())).value(drawn(50))
