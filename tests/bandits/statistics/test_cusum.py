"""A change of a mean is found where it is; without one the error rate holds, whatever decided what was seen."""

import numpy as np
import pytest

from bandits.statistics.cusum import constant_pieces

N_SERIES = 300


def _share_cut(draw, error_rate):
    rng = np.random.default_rng(0)
    return np.mean([len(constant_pieces(*draw(rng), error_rate=error_rate)) > 1 for _ in range(N_SERIES)])


def _drifting_log(rng, n=400):
    """An arm that brings 0.8 in half of the contexts and 0.2 in the others, and is chosen ever more in the first."""
    good = rng.random(n) < 0.5
    gap = np.linspace(0.0, 0.4, n)
    propensities = np.where(good, 0.5 + gap, 0.5 - gap)
    taken = rng.random(n) < propensities
    rewards = (rng.random(n) < np.where(good, 0.8, 0.2)).astype(float)
    return rewards * taken, taken / propensities


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: (rng.normal(size=300),),
        lambda rng: ((rng.random(300) < 0.1).astype(float),),
        lambda rng: (rng.exponential(size=300),),
        _drifting_log,
    ],
)
def test_a_series_without_a_change_is_cut_as_often_as_the_error_rate_says_at_most(draw):
    assert _share_cut(draw, 0.1) <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / N_SERIES)


def test_without_the_weights_a_log_that_chose_ever_better_seems_to_change():
    assert _share_cut(lambda rng: (lambda values, weights: (values[weights > 0],))(*_drifting_log(rng)), 0.1) > 0.3


def test_changes_are_found_where_they_are():
    rng = np.random.default_rng(0)
    means = np.repeat([0.6, 0.4, 0.9], [500, 300, 400])
    pieces = constant_pieces((rng.random(1200) < means).astype(float), error_rate=0.001)
    assert [piece.start for piece in pieces] == pytest.approx([0, 500, 800], abs=40)
    assert [piece.mean for piece in pieces] == pytest.approx([0.6, 0.4, 0.9], abs=0.05)
    assert [piece.stop for piece in pieces[:-1]] == [piece.start for piece in pieces[1:]]
    assert pieces[-1].stop == 1200


def test_a_change_of_values_that_are_seen_now_and_then_is_found():
    rng = np.random.default_rng(0)
    propensities = np.where(np.arange(3000) % 3, 0.8, 0.2)
    weights = (rng.random(3000) < propensities) / propensities
    values = rng.normal(np.where(np.arange(3000) < 2000, 1.0, 0.0), 0.5)
    first, second = constant_pieces(np.where(weights > 0, values, 0.0), weights, error_rate=0.001)
    assert second.start == pytest.approx(2000, abs=40)
    assert (first.mean, second.mean) == pytest.approx((1.0, 0.0), abs=0.1)


@pytest.mark.parametrize("values", [np.full(100, 0.1), np.arange(39.0), np.array([2.0])])
def test_what_does_not_vary_or_is_too_short_is_one_piece(values):
    (piece,) = constant_pieces(values, error_rate=0.1)
    assert (piece.start, piece.stop, piece.mean) == (0, len(values), pytest.approx(values.mean()))


def test_nothing_seen_is_no_piece():
    assert constant_pieces(np.zeros(0), error_rate=0.1) == ()
    assert constant_pieces(np.zeros(3), np.zeros(3), error_rate=0.1) == ()


def test_pieces_do_not_depend_on_the_scale():
    rng = np.random.default_rng(0)
    values, weights = _drifting_log(rng)
    values = values + (np.arange(400) > 200)
    one, other = (constant_pieces(values * c, weights * d, error_rate=0.01) for c, d in ((1.0, 1.0), (1e9, 1e-9)))
    assert [piece.start for piece in one] == [piece.start for piece in other]
    assert len(one) > 1
