"""The bootstrap: draws, blocks, two ways, and what is refused."""

import numpy as np
import pytest
from scipy import stats

from bandits import Bootstrap, Estimate
from bandits.statistics import bootstrap as module
from bandits.statistics.bootstrap import resamples_for


def test_sums_are_those_of_the_drawn_units_and_line_0_is_the_data():
    per_unit = np.random.default_rng(1).normal(size=(30, 2))
    bootstrap = Bootstrap(n_resamples=20, seed=4)
    sums = bootstrap.sums(per_unit)
    np.testing.assert_allclose(sums[0], per_unit.sum(axis=0))
    np.testing.assert_allclose(sums[1:], per_unit[bootstrap.draws(30)].sum(axis=1))


def test_blocks_do_not_change_the_draws(monkeypatch):
    per_unit = np.arange(10.0)[:, None]
    units = [np.arange(10), np.arange(5)]
    one_way = Bootstrap(n_resamples=50).sums(per_unit)
    two_way = Bootstrap(n_resamples=50).two_way_sums([per_unit, per_unit[:5]], units, 10)
    monkeypatch.setattr(module, "COUNTS_AT_ONCE", 35)
    np.testing.assert_allclose(Bootstrap(n_resamples=50).sums(per_unit), one_way)
    again = Bootstrap(n_resamples=50).two_way_sums([per_unit, per_unit[:5]], units, 10)
    assert again.shape == two_way.shape
    np.testing.assert_allclose(again[0], two_way[0])


def test_estimates_leave_undefined_resamples_out():
    figures = np.array([0.5, np.nan, *np.linspace(0, 1, 101)])
    found = Bootstrap(confidence=0.9).estimate(figures, 1)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.05, 0.95))


def test_a_ratio_of_sums_draws_both_sums_together_and_leaves_out_resamples_without_denominators():
    above, below = np.random.default_rng(2).uniform(0, 2, size=(2, 12))
    bootstrap = Bootstrap(n_resamples=50)
    drawn = bootstrap.draws(12)
    whole = [above.sum() / below.sum(), *(above[drawn].sum(axis=1) / below[drawn].sum(axis=1))]
    expected = bootstrap.estimate(np.array(whole), 12).interval
    assert bootstrap.ratio_of_sums(above, below).interval == pytest.approx(expected)
    assert bootstrap.ratio_of_sums(3 * below, below).interval == pytest.approx((3, 3))
    assert bootstrap.ratio_of_sums(np.array([3.0, 5.0]), np.array([1.0, 0.0])).value == 8
    assert np.isfinite(bootstrap.ratio_of_sums(np.array([3.0, 5.0]), np.array([1.0, 0.0])).interval).all()


@pytest.mark.parametrize(
    ("below", "match"), [([0.0, 0.0], "must sum to more than 0, got 0.0"), ([1.0], r"got shapes \(2,\) and \(1,\)")]
)
def test_a_ratio_without_denominators_is_rejected(below, match):
    with pytest.raises(ValueError, match=match):
        Bootstrap().ratio_of_sums(np.ones(2), np.array(below))


@pytest.mark.parametrize("n_units", [3, 8, 1000])
def test_a_mean_of_few_units_has_students_width(n_units):
    values = np.random.default_rng(3).normal(size=n_units)
    bootstrap = Bootstrap(n_resamples=4000)
    found = bootstrap.estimate(bootstrap.sums(values[:, None])[:, 0] / n_units, n_units)
    student = stats.t.interval(0.95, n_units - 1, values.mean(), values.std(ddof=1) / np.sqrt(n_units))
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(student[1] - student[0], rel=0.15)


def test_an_estimate_formats_its_three_numbers():
    estimate = Estimate(1.0, 0.5, 2.0)
    assert (str(estimate), f"{estimate:.1f}") == ("1.000 [0.500, 2.000]", "1.0 [0.5, 2.0]")
    assert estimate.interval == (0.5, 2.0)


@pytest.mark.parametrize("settings", [{"n_resamples": 0}, {"confidence": 1.0}, {"seed": -1}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        Bootstrap(**settings)


def test_many_units_are_drawn_in_groups_with_the_spread_of_single_draws():
    n = 100_003
    values = 50 + np.random.default_rng(0).normal(size=n)
    sums = Bootstrap(n_resamples=400).sums(np.column_stack([values, np.ones(n)]))
    assert sums[0] == pytest.approx([values.sum(), n])
    means = sums[1:, 0] / sums[1:, 1]
    assert means.std() == pytest.approx(1 / np.sqrt(n), rel=0.12)
    assert (sums[1:, 0] / n).std() == pytest.approx(1 / np.sqrt(n), rel=0.12)
    assert means.mean() == pytest.approx(values.mean(), abs=3 / np.sqrt(400 * n) + 1e-4)


@pytest.mark.parametrize(("precision", "confidence"), [(0.05, 0.95), (0.04, 0.8)])
def test_resamples_for_a_precision_hold_the_bounds_to_it(precision, confidence):
    n_resamples = resamples_for(precision, confidence)
    drawn = np.random.default_rng(0).normal(size=(2000, n_resamples))
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    assert low.std() / (high.mean() - low.mean()) == pytest.approx(precision, rel=0.1)
