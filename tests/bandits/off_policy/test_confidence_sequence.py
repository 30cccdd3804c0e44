"""The bound holds at all times at once: exactly on enumerated streams, and on streams that depend on their past."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.off_policy.confidence_sequence import LowerConfidenceSequence, lower_confidence_sequence


@pytest.mark.parametrize("p", [0.02, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("level", [0.05, 0.3])
def test_on_every_stream_of_coins_the_probability_of_ever_being_wrong_is_below_the_level(p, level):
    streams = np.array(list(product([0.0, 1.0], repeat=12)))
    probabilities = np.prod(np.where(streams == 1.0, p, 1 - p), axis=1)
    wrong = (lower_confidence_sequence(streams, 0.0, 1.0, level) > p).any(axis=1)
    assert probabilities[wrong].sum() <= level


def test_it_holds_for_values_whose_mean_moves_with_the_past_and_that_have_no_upper_end():
    rng = np.random.default_rng(0)
    n_runs, n = 200, 250
    values, means, last = np.empty((n_runs, n)), np.empty((n_runs, n)), np.zeros(n_runs)
    for i in range(n):
        propensity = np.where(last > 0, 0.05, 0.5)  # the log's policy reacts to what it saw
        means[:, i] = 0.3 + 0.2 * np.sin(i / 30)
        last = (rng.random(n_runs) < propensity) * (rng.random(n_runs) < means[:, i]) / propensity
        values[:, i] = last
    running = np.cumsum(means, axis=1) / np.arange(1, n + 1)
    bounds = lower_confidence_sequence(values, 0.0, 1.0, 0.1)
    assert (bounds > running).any(axis=1).mean() <= 0.1
    assert np.median(bounds[:, -1]) > 0.05  # and it says something


@given(st.lists(st.floats(-2, 5), min_size=1, max_size=40), st.sampled_from([0.01, 0.2]))
def test_value_by_value_gives_what_all_at_once_gives(values, level):
    one_by_one = LowerConfidenceSequence(-2.0, 1.5, level)
    bounds = []
    for value in values:
        one_by_one.update(value)
        bounds.append(one_by_one.bound)
    np.testing.assert_allclose(bounds, lower_confidence_sequence(values, -2.0, 1.5, level), atol=1e-9)
    assert one_by_one.mean == pytest.approx(np.mean(values))


def test_small_variance_makes_it_sharp():
    rng = np.random.default_rng(1)
    steady, wild = rng.normal(0.5, 0.01, 5000).clip(0, 1), (rng.random(5000) < 0.5).astype(float)
    assert 0.497 < lower_confidence_sequence(steady, 0.0, 1.0)[-1] < 0.5
    assert 0.46 < lower_confidence_sequence(wild, 0.0, 1.0)[-1] < 0.5


def test_the_bound_begins_at_the_lowest_value_and_never_falls_below():
    sequence = LowerConfidenceSequence(-3.0, 1.0)
    assert (sequence.bound, np.isnan(sequence.mean), sequence.n) == (-3.0, True, 0)
    sequence.update(-3.0)
    assert sequence.bound == -3.0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((1.0, 1.0), "highest_mean must be > lowest = 1, got 1"),
        ((0.0, np.inf), "highest_mean must be a finite number"),
        ((0.0, 1.0, 0.0), r"level must be in \(0, 1\), got 0.0"),
    ],
)
def test_arguments_are_checked(arguments, error):
    with pytest.raises(ValueError, match=error):
        LowerConfidenceSequence(*arguments)


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_values_below_the_lowest_or_not_finite_are_refused(value):
    with pytest.raises(ValueError, match="value must be"):
        LowerConfidenceSequence(0.0, 1.0).update(value)
    with pytest.raises(ValueError, match="values must be finite and >= lowest = 0"):
        lower_confidence_sequence([0.5, value], 0.0, 1.0)
