"""The learned prior precision: its sums kept up equal those computed anew, and its equations those of the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.policies.linear.arm_sums import ArmSums
from bandits.policies.linear.learned_precision import learned_prior_precision


def rows_of(seed, n_rows=40, n_features=5):
    rng = np.random.default_rng(seed)
    rows = np.column_stack([rng.normal(size=(n_rows, n_features)) + rng.normal(), np.ones(n_rows)])
    rewards = rows @ rng.normal(size=n_features + 1) + rng.normal(size=n_rows)
    return rows, rewards, rng.uniform(0.5, 2.0, size=n_rows)


def sums_of(arms):
    return [
        ArmSums(
            np.tril((rows * weights[:, None]).T @ rows),
            rows.T @ (weights * rewards),
            float(weights.sum()),
            float(weights @ rewards**2),
        )
        for rows, rewards, weights in arms
    ]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n_features=st.sampled_from([5, 150]))
def test_sums_kept_up_row_by_row_equal_those_computed_anew(seed, n_features):
    rows, rewards, weights = rows_of(seed, n_features=n_features)
    kept = ArmSums(np.zeros((n_features + 1, n_features + 1)), np.zeros(n_features + 1))
    kept.spread()
    for row, reward, weight in zip(rows, rewards, weights, strict=True):
        kept = kept.with_row(row, reward, weight)
    whole = sums_of([(rows, rewards, weights)])[0]
    np.testing.assert_allclose(kept.spread(), whole.spread(), rtol=1e-10)
    np.testing.assert_allclose(kept.precision, whole.precision, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(kept.moment, whole.moment, rtol=1e-10, atol=1e-12)
    assert kept.squared_rewards == pytest.approx(whole.squared_rewards)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_precision_solves_the_moment_equations_of_the_rows(seed):
    arms = [rows_of(seed), rows_of(seed + 1, 25)]
    sums = sums_of(arms)
    explained = pairs = traces = freedoms = 0.0
    for rows, rewards, weights in arms:
        x = rows[:, :-1] - np.average(rows[:, :-1], axis=0, weights=weights)
        r = rewards - np.average(rewards, weights=weights)
        sums_x, freedom = (x * weights[:, None]).T @ x, weights.sum() - 1
        slope = x.T @ (weights * r)
        explained += slope @ slope / (weights @ r**2 / freedom) - np.trace(sums_x)
        pairs += (sums_x**2).sum() - np.trace(sums_x) ** 2 / freedom
        traces, freedoms = traces + np.trace(sums_x), freedoms + freedom
    length = traces / freedoms
    share = np.clip((explained * length + length**2) / (pairs + 2 * length**2), 0.002, 0.98)
    expected = length * (1 - share) / share
    found = learned_prior_precision(sums)
    assert abs(np.log(found / expected)) <= np.log(4) / 2 + 1e-9
    assert np.log(found) / np.log(4) == pytest.approx(round(np.log(found) / np.log(4)))


@pytest.mark.parametrize("truth", [0.5, 4.0, 32.0])
def test_the_precision_that_made_the_rewards_is_found(truth):
    rng = np.random.default_rng(0)
    arms = []
    for noise in (0.2, 1.0, 5.0):  # arms of any noise tell of one precision
        rows = np.column_stack([rng.normal(size=(8000, 60)) / np.sqrt(60) + 1.0, np.ones(8000)])
        coefficients = np.append(rng.normal(scale=noise / np.sqrt(truth), size=60), 3.0)
        arms.append((rows, rows @ coefficients + noise * rng.normal(size=8000), np.ones(8000)))
    sums = sums_of(arms)
    assert learned_prior_precision(sums, grid=1.01) == pytest.approx(truth, rel=0.25)


def test_nothing_to_learn_from_leaves_one():
    rows = np.column_stack([np.random.default_rng(0).normal(size=(9, 5)), np.ones(9)])
    for arm in (
        (rows[:1], np.ones(1), np.ones(1)),  # one row
        (rows, np.full(9, 0.7), np.ones(9)),  # a constant reward
        (np.ones((9, 6)), np.arange(9.0), np.ones(9)),  # a constant context
        (rows[:0], np.ones(0), np.ones(0)),
    ):
        assert learned_prior_precision(sums_of([arm])) == 1.0
