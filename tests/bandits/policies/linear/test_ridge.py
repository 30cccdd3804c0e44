"""The ridge posterior: rank-one updates, batches and factorisation all say what a plain solve says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.policies.linear import arm_sums
from bandits.policies.linear.arm_posterior import ArmPosterior
from bandits.policies.linear.arm_sums import ArmSums, gram, with_gram
from bandits.policies.linear.pending_rows import PendingRows
from bandits.policies.linear.ridge import Ridge


def plain(rows, rewards, weights, prior):
    precision = np.eye(rows.shape[1]) * prior + rows.T @ (rows * weights[:, None])
    return np.linalg.solve(precision, rows.T @ (weights * rewards)), np.linalg.inv(precision)


def ridge_of(size, prior=1.0, n_arms=1):
    return Ridge([ArmSums(np.eye(size) * prior, np.zeros(size)) for _ in range(n_arms)])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.one_of(st.integers(1, 40), st.just(140)),
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
        ridge = ridge.with_rows(0, rows[part], rewards[part], weights[part])
        if rng.random() < 0.5:
            ridge.mean_and_leverage(rows[:1])  # factorises, so that later rows go by rank-one updates
    coefficients, covariance = plain(rows, rewards, weights, prior)
    queries = rng.normal(size=(7, size))
    means, leverages = ridge.mean_and_leverage(queries)
    np.testing.assert_allclose(ridge.coefficients[0], coefficients, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(means[:, 0], queries @ coefficients, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(leverages[:, 0], np.einsum("nd,de,ne->n", queries, covariance, queries), rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.one_of(st.integers(1, 30), st.just(140)))
def test_rank_one_updates_equal_a_solve(seed, size):
    rng = np.random.default_rng(seed)
    ridge = ridge_of(size)
    ridge.mean_and_leverage(np.ones((1, size)))
    rows, rewards = rng.normal(size=(20, size)), rng.normal(size=20)
    for row, reward in zip(rows, rewards, strict=True):
        ridge = ridge.with_row(0, row, reward, 1.0)
    coefficients, covariance = plain(rows, rewards, np.ones(20), 1.0)
    np.testing.assert_allclose(ridge.coefficients[0], coefficients, rtol=1e-8, atol=1e-10)
    leverage = ridge.mean_and_leverage(rows[:1])[1][0, 0]
    assert leverage == pytest.approx(rows[0] @ covariance @ rows[0], rel=1e-8)


def test_one_row_and_many_rows_score_the_same():
    rng = np.random.default_rng(0)
    ridge = ridge_of(12, n_arms=3)
    for arm in range(3):
        ridge = ridge.with_rows(arm, rng.normal(size=(30, 12)), rng.normal(size=30))
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
    ridge = ridge_of(size, prior=1e-3)
    ridge.mean_and_leverage(rows[:1])
    for index in range(n_rows):
        ridge = ridge.with_rows(0, rows[[index]], rewards[[index]])
        ridge.mean_and_leverage(rows[:1])  # factorises where the update gave the inverse up
    coefficients, covariance = plain(rows, rewards, np.ones(n_rows), 1e-3)
    np.testing.assert_allclose(ridge.coefficients[0], coefficients, rtol=1e-6, atol=1e-12)
    query = rng.normal(size=size)
    leverage = ridge.mean_and_leverage(query[None])[1][0, 0]
    assert leverage == pytest.approx(query @ covariance @ query, rel=1e-6)


def one_more(posterior, sums, row):
    return posterior.with_row(row, posterior.product(row), 1.0, 1.0, sums, 0.0)


def test_an_inverse_that_cannot_be_trusted_is_given_up():
    rng = np.random.default_rng(0)
    sums = ArmSums(np.eye(5), np.zeros(5)).with_row(rng.normal(size=5), 1.0, 1.0)
    right = ArmPosterior.of(sums, 0.0, 0)
    row = rng.normal(size=5)
    assert one_more(right, sums, row) is not None
    negative = ArmPosterior(-right.covariance, right.coefficients, None)  # as rounding might leave it
    assert one_more(negative, sums, row) is None
    for age, inverse, kept in (
        (63, right.covariance, True),
        (63, right.covariance * (1 + 1e-5), False),  # drift is looked for every 64 rows
        (62, right.covariance * (1 + 1e-5), True),
        (4095, right.covariance, False),  # and an old inverse computed anew in any case
    ):
        assert (one_more(ArmPosterior(inverse, right.coefficients, None, age=age), sums, row) is not None) is kept


def test_an_inverse_that_was_given_up_is_computed_anew():
    ridge = ridge_of(4)
    rows, rewards = np.random.default_rng(3).normal(size=(5000, 4)), np.ones(5000)
    for row in rows:
        ridge.coefficients  # noqa: B018  factorises, so that rows go by rank-one updates
        ridge = ridge.with_row(0, row, 1.0)
    np.testing.assert_allclose(ridge.coefficients[0], plain(rows, rewards, rewards, 1.0)[0], rtol=1e-9)


def test_a_precision_that_overflows_is_refused():
    ridge = ridge_of(2)
    ridge = ridge.with_rows(0, np.full((3, 2), 1e200), np.ones(3))
    with pytest.raises(RuntimeError, match="not positive definite"):
        ridge.mean_and_leverage(np.ones((1, 2)))


def test_gram_is_the_lower_triangle():
    rows = np.random.default_rng(0).normal(size=(9, 4))
    np.testing.assert_allclose(gram(rows), np.tril(rows.T @ rows), rtol=1e-12)


def test_a_million_updates_worth_of_evidence_do_not_drift():
    # 20,000 updates of weight 50, one direction 1e3 times stronger.
    rng = np.random.default_rng(2)
    size, n_rows = 4, 20_000
    rows, rewards = rng.normal(size=(n_rows, size)) * np.array([1.0, 1.0, 1e-1, 1e3]), rng.normal(size=n_rows)
    ridge = ridge_of(size)
    for row, reward in zip(rows, rewards, strict=True):
        ridge.mean_and_leverage(row[None])
        ridge = ridge.with_row(0, row, reward, 50.0)
    coefficients, covariance = plain(rows, rewards, np.full(n_rows, 50.0), 1.0)
    np.testing.assert_allclose(ridge.coefficients[0], coefficients, rtol=1e-6)
    leverage = ridge.mean_and_leverage(rows[:1])[1][0, 0]
    assert leverage == pytest.approx(rows[0] @ covariance @ rows[0], rel=1e-6)


@pytest.mark.parametrize(("spread", "tolerance"), [(1.0, 1e-6), (1e2, 1e-5), (1e4, 1e-3)])
def test_fast_leverages_lose_only_the_root_of_the_condition_number(spread, tolerance):
    rng = np.random.default_rng(3)
    ridge = ridge_of(30, n_arms=2)
    for arm in range(2):
        ridge = ridge.with_rows(arm, rng.normal(size=(200, 30)) * np.geomspace(1, spread, 30), rng.normal(size=200))
    queries = (rng.normal(size=(50, 30)) * np.geomspace(1, spread, 30)).astype(np.float32)
    exact = ridge.mean_and_leverage(queries.astype(float))[1]
    np.testing.assert_allclose(ridge.fast_leverages(queries), exact, rtol=tolerance)


def test_fast_leverages_see_every_update_and_survive_huge_rows():
    rng = np.random.default_rng(4)
    ridge = ridge_of(6)
    queries = rng.normal(size=(40, 6)).astype(np.float32)
    ridge.fast_leverages(queries)
    ridge = ridge.with_rows(0, rng.normal(size=(1, 6)), np.ones(1))  # a rank-one update leaves the kept root behind
    exact = ridge.mean_and_leverage(queries.astype(float))[1]
    np.testing.assert_allclose(ridge.fast_leverages(queries), exact, rtol=1e-5)
    huge = np.full((40, 6), 1e30, np.float32)
    np.testing.assert_allclose(ridge.fast_leverages(huge), ridge.mean_and_leverage(huge.astype(float))[1])


@pytest.mark.parametrize("size", [5, 150])
def test_scoring_a_row_before_it_is_learned_changes_nothing(size):
    rng = np.random.default_rng(5)
    scored, fresh = ridge_of(size, n_arms=2), ridge_of(size, n_arms=2)
    rows, rewards = rng.normal(size=(30, size)), rng.normal(size=30)
    fresh.coefficients, scored.coefficients  # noqa: B018  factorises, so that rows go by rank-one updates
    for index, row in enumerate(rows):
        before = scored.score(row)
        scored.score(rows[0])
        np.testing.assert_array_equal(scored.score(row)[1], before[1])
        for _ in range(2):  # the arm has changed since it was scored
            scored = scored.with_row(index % 2, row, float(rewards[index]))
            fresh = fresh.with_row(index % 2, row, float(rewards[index]))
    np.testing.assert_allclose(scored.coefficients, fresh.coefficients, rtol=1e-11)


def test_an_update_leaves_the_posteriors_it_began_with():
    rng = np.random.default_rng(6)
    for size in (6, 150):
        ridge = ridge_of(size, n_arms=2)
        queries = rng.normal(size=(3, size))
        kept = ridge.mean_and_leverage(queries), ridge.sums[0].precision.copy()
        later = ridge
        for row in rng.normal(size=(40, size)):
            later.score(row)
            later = later.with_row(0, row, 1.0)
        np.testing.assert_array_equal(ridge.mean_and_leverage(queries), kept[0])
        np.testing.assert_array_equal(ridge.sums[0].precision, kept[1])
        assert not np.allclose(later.mean_and_leverage(queries), kept[0])


def test_waiting_rows_are_shared_by_those_who_go_on_from_the_same_rows():
    rng = np.random.default_rng(7)
    first = PendingRows(np.zeros((0, 3)), 4).with_row(np.ones(3))
    one, two = first.with_row(np.full(3, 2.0)), first.with_row(np.full(3, 3.0))
    np.testing.assert_array_equal(one.rows[:, 0], [1, 2])
    np.testing.assert_array_equal(two.rows[:, 0], [1, 3])
    np.testing.assert_array_equal(first.rows[:, 0], [1])
    assert one.with_row(rng.normal(size=3)).with_row(rng.normal(size=3)).full


@pytest.mark.parametrize("size", [6, 150])
def test_two_that_go_on_from_the_same_posteriors_do_not_meet(size):
    rng = np.random.default_rng(8)
    start = ridge_of(size, n_arms=2).with_rows(0, rng.normal(size=(300, size)), rng.normal(size=300))
    start.score(np.ones(size))
    rows, query = rng.normal(size=(20, size)), rng.normal(size=size)
    one = two = start
    for row in rows:
        one, two = one.with_row(0, row, 1.0), two.with_row(0, -2.0 * row, 1.0)
        one.score(query), two.score(query)
    for ridge, factor in ((one, 1.0), (two, -2.0)):
        alone = start.with_rows(0, factor * rows, np.ones(20))
        np.testing.assert_allclose(ridge.score(query)[1], alone.mean_and_leverage(query[None])[1], rtol=1e-5)
        np.testing.assert_allclose(ridge.coefficients, alone.coefficients, rtol=1e-7, atol=1e-10)


def test_arms_seen_on_the_same_rows_share_one_inverse():
    rng = np.random.default_rng(9)
    rows, rewards = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
    ridge = Ridge.of(ridge_of(5, n_arms=3).arrays())
    together = ridge.with_sums((0, 1, 2), gram(rows), rewards.T @ rows, 40.0, (rewards**2).sum(axis=0))
    assert len({id(sums.precision) for sums in together.sums}) == 1
    for arm in range(3):
        ridge = ridge.with_rows(arm, rows, rewards[:, arm])
    np.testing.assert_allclose(together.coefficients, ridge.coefficients, rtol=1e-12)
    queries = rng.normal(size=(4, 5))
    np.testing.assert_allclose(together.mean_and_leverage(queries)[1], ridge.mean_and_leverage(queries)[1], rtol=1e-12)


def test_arms_with_the_same_waiting_rows_share_one_precision_made_once(monkeypatch):
    rng = np.random.default_rng(10)
    rows, rewards = rng.normal(size=(40, 130)), rng.normal(size=(40, 3))
    ridge = Ridge.of(ridge_of(130, n_arms=3).arrays())
    for arm in range(3):
        for row in rows[:2]:
            ridge = ridge.with_row(arm, row, 1.0)
    ridge = ridge.with_row(2, rows[2], 1.0)
    made = []

    def counted(*arguments):
        made.append(1)
        return with_gram(*arguments)

    monkeypatch.setattr(arm_sums, "with_gram", counted)
    together = ridge.with_sums((0, 1, 2), gram(rows), rewards.T @ rows, 40.0, (rewards**2).sum(axis=0))
    assert len(made) == 2  # one for arms 0 and 1, one for arm 2
    first, second, third = (sums.precision for sums in together.sums)
    assert first is second
    own = rows[:3].T @ rows[:3] + rows.T @ rows
    lower = np.tril_indices(130)
    np.testing.assert_allclose((third - ridge_of(130, n_arms=1).sums[0].precision)[lower], own[lower], atol=1e-9)
