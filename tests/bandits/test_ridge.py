"""The ridge posterior: rank-one updates, batches and factorisation all say what a plain solve says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.ridge import Ridge, gram


def plain(rows, rewards, weights, prior):
    precision = np.eye(rows.shape[1]) * prior + rows.T @ (rows * weights[:, None])
    return np.linalg.solve(precision, rows.T @ (weights * rewards)), np.linalg.inv(precision)


def ridge_of(size, prior=1.0, n_arms=1, **options):
    return Ridge(np.stack([np.eye(size) * prior] * n_arms), np.zeros((n_arms, size)), **options)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 40),
    n_rows=st.integers(1, 50),
    n_cuts=st.integers(0, 6),
    prior=st.floats(0.01, 100.0),
)
def test_any_batches_equal_a_solve(seed, size, n_rows, n_cuts, prior):
    rng = np.random.default_rng(seed)
    rows, rewards = rng.normal(size=(n_rows, size)), rng.normal(size=n_rows)
    weights = rng.uniform(0, 3, size=n_rows)
    ridge = ridge_of(size, prior)
    for part in np.split(np.arange(n_rows), np.sort(rng.integers(0, n_rows + 1, size=n_cuts))):
        ridge.add(0, rows[part], rewards[part], weights[part])
        if rng.random() < 0.5:
            ridge.mean_and_leverage(rows[:1])  # factorises, so that later rows go by rank-one updates
    coefficients, covariance = plain(rows, rewards, weights, prior)
    queries = rng.normal(size=(7, size))
    means, leverages = ridge.mean_and_leverage(queries)
    np.testing.assert_allclose(ridge.coefficients[0], coefficients, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(means[:, 0], queries @ coefficients, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(leverages[:, 0], np.einsum("nd,de,ne->n", queries, covariance, queries), rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 30))
def test_rank_one_updates_equal_a_solve(seed, size):
    rng = np.random.default_rng(seed)
    ridge = ridge_of(size)
    ridge.mean_and_leverage(np.ones((1, size)))
    rows, rewards = rng.normal(size=(20, size)), rng.normal(size=20)
    for row, reward in zip(rows, rewards, strict=True):
        ridge.add_row(0, row, reward, 1.0)
    assert ridge._age[0] == 20, "the inverse was kept by updates, not computed anew"
    coefficients, covariance = plain(rows, rewards, np.ones(20), 1.0)
    np.testing.assert_allclose(ridge.coefficients[0], coefficients, rtol=1e-8, atol=1e-10)
    leverage = ridge.mean_and_leverage(rows[:1])[1][0, 0]
    assert leverage == pytest.approx(rows[0] @ covariance @ rows[0], rel=1e-8)


def test_one_row_and_many_rows_score_the_same():
    rng = np.random.default_rng(0)
    ridge = ridge_of(12, n_arms=3)
    for arm in range(3):
        ridge.add(arm, rng.normal(size=(30, 12)), rng.normal(size=30))
    queries = rng.normal(size=(5, 12))
    many = ridge.mean_and_leverage(queries)
    for index in range(5):
        one = ridge.mean_and_leverage(queries[[index]])
        np.testing.assert_allclose(one[0][0], many[0][index], rtol=1e-12)
        np.testing.assert_allclose(one[1][0], many[1][index], rtol=1e-10)


def test_many_ill_conditioned_updates_do_not_drift():
    rng = np.random.default_rng(1)
    size, n_rows = 6, 30_000
    rows = rng.normal(size=(n_rows, size)) * np.logspace(0, 4, size)
    rewards = rng.normal(size=n_rows)
    ridge = ridge_of(size, prior=1e-3, refactor_every=4096)
    ridge.mean_and_leverage(rows[:1])
    for index in range(n_rows):
        ridge.add(0, rows[[index]], rewards[[index]])
        if ridge._age[0] < 0:
            ridge.mean_and_leverage(rows[:1])
    coefficients, covariance = plain(rows, rewards, np.ones(n_rows), 1e-3)
    np.testing.assert_allclose(ridge.coefficients[0], coefficients, rtol=1e-6, atol=1e-12)
    query = rng.normal(size=size)
    leverage = ridge.mean_and_leverage(query[None])[1][0, 0]
    assert leverage == pytest.approx(query @ covariance @ query, rel=1e-6)


def test_a_negative_variance_makes_the_inverse_be_computed_anew():
    ridge = ridge_of(3)
    ridge.mean_and_leverage(np.ones((1, 3)))
    ridge._covariance[0] = -np.eye(3)  # as rounding might leave it
    ridge.add(0, np.ones((1, 3)), np.ones(1))
    coefficients, _ = plain(np.ones((1, 3)), np.ones(1), np.ones(1), 1.0)
    np.testing.assert_allclose(ridge.coefficients[0], coefficients)


def test_a_precision_that_overflows_is_refused():
    ridge = ridge_of(2)
    ridge.add(0, np.full((3, 2), 1e200), np.ones(3))
    with pytest.raises(RuntimeError, match="not positive definite"):
        ridge.mean_and_leverage(np.ones((1, 2)))


def test_gram_is_the_lower_triangle():
    rows = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_allclose(gram(rows), np.tril(rows.T @ rows), rtol=1e-12)
