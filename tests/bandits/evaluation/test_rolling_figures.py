"""Intervals of values over time hold what they promise, also where neighbouring rows resemble each other."""

import numpy as np
import pytest
from scipy.signal import lfilter

from bandits.evaluation.rolling_figures import RollingCandidate, RollingFigures
from bandits.statistics.bootstrap import Bootstrap

N_SERIES, N_WINDOWS, N_RESAMPLES = 100, 5, 200


def _coverage(autocorrelation, n_rows):
    """Return how often intervals of windows of so many rows hold the mean, 0."""
    n = N_WINDOWS * n_rows
    edges = np.linspace(0, n, N_WINDOWS + 1).astype(np.int64)
    held = []
    for series in range(N_SERIES):
        noise = np.random.default_rng(series).normal(size=50 + n)
        earned = lfilter([1.0], [1.0, -autocorrelation], noise)[50:]
        bootstrap = Bootstrap(n_resamples=N_RESAMPLES, seed=series)
        candidate = RollingCandidate("fixed", "fixed", (earned,))
        points = RollingFigures([candidate], np.zeros(n), np.ones(n), edges, bootstrap).points(1)
        held += [point.low < 0 < point.high for point in points]
    return np.mean(held)


@pytest.mark.parametrize(("autocorrelation", "n_rows", "least"), [(0.0, 160, 0.93), (0.5, 160, 0.92), (0.8, 600, 0.9)])
def test_intervals_hold_the_mean_nearly_as_often_as_they_say(autocorrelation, n_rows, least):
    assert _coverage(autocorrelation, n_rows) >= least


@pytest.mark.parametrize("unsupported", [0, 1])
def test_a_conclusion_needs_a_log_that_supports_the_policy_and_the_fixed_arm(unsupported):
    problems = [("too few rows",) if place == unsupported else () for place in (0, 1)]
    policy = RollingCandidate("policy", "policy", (np.ones(20),), problems=problems[0])
    fixed = RollingCandidate("best fixed arm", "fixed", (np.zeros(20),), problems=problems[1])
    figures = RollingFigures(
        [policy, fixed], np.ones(20), np.ones(20), np.array([0, 10, 20]), Bootstrap(n_resamples=20)
    )
    assert not figures.conclusion(["policy"], "a", 1).supported
