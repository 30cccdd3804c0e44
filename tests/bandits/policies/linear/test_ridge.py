"""The ridge posterior: rank-one updates, batches and factorisation all say what a plain solve says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.policies.linear.ridge import Ridge, gram


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


def test_drift_is_seen_and_mended_long_before_the_scheduled_factorisation():
    rng = np.random.default_rng(0)
    ridge = ridge_of(5, refactor_every=10**9)
    ridge.mean_and_leverage(np.ones((1, 5)))
    rows, rewards = rng.normal(size=(64, 5)), rng.normal(size=64)
    for index, (row, reward) in enumerate(zip(rows, rewards, strict=True)):
        if index == 10:
            ridge._covariance[0] *= 1 + 1e-5  # what rounding might have left after very many updates
        ridge.add_row(0, row, reward)
    assert ridge._age[0] == -1, "the check after 64 updates asks for a factorisation"
    coefficients, covariance = plain(rows, rewards, np.ones(64), 1.0)
    np.testing.assert_allclose(ridge.coefficients[0], coefficients, rtol=1e-10)
    leverage = ridge.mean_and_leverage(rows[:1])[1][0, 0]
    assert leverage == pytest.approx(rows[0] @ covariance @ rows[0], rel=1e-10)


def test_a_million_updates_worth_of_evidence_do_not_drift():
    # 20,000 updates of weight 50, one direction 1e3 times stronger, and no scheduled factorisation at all.
    rng = np.random.default_rng(2)
    size, n_rows = 4, 20_000
    rows, rewards = rng.normal(size=(n_rows, size)) * np.array([1.0, 1.0, 1e-1, 1e3]), rng.normal(size=n_rows)
    ridge = ridge_of(size, refactor_every=10**9)
    ridge.mean_and_leverage(rows[:1])
    for row, reward in zip(rows, rewards, strict=True):
        ridge.add_row(0, row, reward, 50.0)
    coefficients, covariance = plain(rows, rewards, np.full(n_rows, 50.0), 1.0)
    np.testing.assert_allclose(ridge.coefficients[0], coefficients, rtol=1e-6)
    leverage = ridge.mean_and_leverage(rows[:1])[1][0, 0]
    assert leverage == pytest.approx(rows[0] @ covariance @ rows[0], rel=1e-6)


@pytest.mark.parametrize(("spread", "tolerance"), [(1.0, 1e-6), (1e2, 1e-5), (1e4, 1e-3)])
def test_fast_leverages_lose_only_the_root_of_the_condition_number(spread, tolerance):
    rng = np.random.default_rng(3)
    ridge = ridge_of(30, n_arms=2)
    for arm in range(2):
        ridge.add(arm, rng.normal(size=(200, 30)) * np.geomspace(1, spread, 30), rng.normal(size=200))
    queries = (rng.normal(size=(50, 30)) * np.geomspace(1, spread, 30)).astype(np.float32)
    exact = ridge.mean_and_leverage(queries.astype(float))[1]
    np.testing.assert_allclose(ridge.fast_leverages(queries), exact, rtol=tolerance)


def test_fast_leverages_see_every_update_and_survive_huge_rows():
    rng = np.random.default_rng(4)
    ridge = ridge_of(6)
    queries = rng.normal(size=(40, 6)).astype(np.float32)
    ridge.fast_leverages(queries)
    ridge.add(0, rng.normal(size=(1, 6)), np.ones(1))  # a rank-one update leaves the kept root behind
    exact = ridge.mean_and_leverage(queries.astype(float))[1]
    np.testing.assert_allclose(ridge.fast_leverages(queries), exact, rtol=1e-5)
    huge = np.full((40, 6), 1e30, np.float32)
    np.testing.assert_allclose(ridge.fast_leverages(huge), ridge.mean_and_leverage(huge.astype(float))[1])


def test_a_direction_kept_from_scoring_is_used_only_while_it_holds():
    rng = np.random.default_rng(5)
    kept, fresh = ridge_of(5, n_arms=2), ridge_of(5, n_arms=2)
    rows, rewards = rng.normal(size=(30, 5)), rng.normal(size=30)
    fresh.coefficients  # noqa: B018  factorises, so that rows go by rank-one updates
    for index, row in enumerate(rows):
        kept.score(row)
        for ridge in (kept, fresh):
            ridge.add_row(index % 2, row, float(rewards[index]))
            ridge.add_row(index % 2, row, float(rewards[index]))  # the arm has changed since it was scored
    np.testing.assert_allclose(kept.coefficients, fresh.coefficients, rtol=1e-12)
