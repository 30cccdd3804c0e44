"""Probability of being best: closed form for two normals, fine quadrature for the rest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bandits.policies.linear.best_arm_probability import best_arm_probabilities
from bandits.policies.linear.student_t import StudentT, t_distribution


def exact(locations, scales, df):
    """Integrate with 40 nodes between each two of many quantiles."""
    scores = [
        stats.norm(m, s) if np.isinf(f) else stats.t(f, m, s) for m, s, f in zip(locations, scales, df, strict=True)
    ]
    levels = [10.0**-e for e in range(12, 0, -1)] + [0.3, 0.5, 0.7] + [1 - 10.0**-e for e in range(1, 13)]
    ends = np.unique(np.concatenate([score.ppf(levels) for score in scores]))
    nodes, weights = np.polynomial.legendre.leggauss(40)
    half = np.diff(ends)[:, None] / 2
    z = ends[:-1, None] + half * (nodes + 1)
    result = []
    for a, score in enumerate(scores):
        others = np.prod([other.cdf(z) for b, other in enumerate(scores) if b != a], axis=0)
        result.append((half * weights * score.pdf(z) * others).sum())
    return np.array(result)


@settings(max_examples=60, deadline=None)
@given(
    difference=st.floats(-10, 10),
    scale_1=st.floats(1e-3, 1e3),
    scale_2=st.floats(1e-3, 1e3),
    offset=st.floats(-5, 5),
)
def test_two_normal_arms_equal_the_closed_form(difference, scale_1, scale_2, offset):
    locations, scales = np.array([[offset + difference, offset]]), np.array([[scale_1, scale_2]])
    found = best_arm_probabilities(locations, scales, np.array([np.inf, np.inf]))
    expected = stats.norm.cdf(difference / np.hypot(scale_1, scale_2))
    assert found[0, 0] == pytest.approx(expected, abs=2e-5)
    assert found.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("df", "tolerance"),
    [
        ([np.inf] * 4, 2e-5),
        ([300.0] * 4, 2e-5),
        ([200.0, 1000.0, np.inf, 201.0], 2e-5),
        ([20.0, 60.0, np.inf, 1000.0], 5e-5),
        ([4.0, 30.0, 5.0, 200.0], 5e-4),
        ([2.0, 3.0, 2.0], 5e-3),
    ],
)
def test_student_arms_equal_fine_quadrature(df, tolerance):
    rng = np.random.default_rng(len(df))
    for _ in range(10):
        locations, scales = rng.normal(size=len(df)), 10.0 ** rng.uniform(-2, 1, size=len(df))
        found = best_arm_probabilities(locations[None], scales[None], np.array(df))[0]
        np.testing.assert_allclose(found, exact(locations, scales, df), atol=tolerance)


def test_probabilities_are_those_of_drawing_scores_and_taking_the_best():
    rng = np.random.default_rng(0)
    locations, scales, df = np.array([0.0, 0.2, -0.1]), np.array([1.0, 0.4, 2.0]), np.array([5.0, 50.0, 9.0])
    draws = locations + scales * rng.standard_t(df, size=(200_000, 3))
    shares = np.bincount(draws.argmax(axis=1), minlength=3) / len(draws)
    found = best_arm_probabilities(locations[None], scales[None], df)[0]
    np.testing.assert_allclose(found, shares, atol=0.005)  # four standard errors


def test_an_arm_that_is_not_available_is_as_if_it_were_not_there():
    rng = np.random.default_rng(1)
    locations, scales, df = (
        rng.normal(size=(6, 4)),
        rng.uniform(0.1, 3, size=(6, 4)),
        np.array([4.0, 9.0, 30.0, 100.0]),
    )
    available = np.ones((6, 4), bool)
    available[:, 2] = False
    found = best_arm_probabilities(locations, scales, df, available)
    without = best_arm_probabilities(locations[:, [0, 1, 3]], scales[:, [0, 1, 3]], df[[0, 1, 3]])
    assert (found[:, 2] == 0).all()
    np.testing.assert_allclose(found[:, [0, 1, 3]], without, atol=1e-4)


def test_rows_in_blocks_equal_rows_at_once(monkeypatch):
    rng = np.random.default_rng(2)
    locations, scales, df = (
        rng.normal(size=(50, 3)),
        rng.uniform(0.1, 3, size=(50, 3)),
        np.array([4.0, 9.0, 30.0]),
    )
    whole = best_arm_probabilities(locations, scales, df)
    monkeypatch.setattr("bandits.policies.linear.best_arm_probability._MAX_CELLS", 1)
    np.testing.assert_allclose(best_arm_probabilities(locations, scales, df), whole, atol=5e-7)  # float32 sums


@pytest.mark.parametrize("df", [6.0, 20.0, 199.0, 200.0, 1000.0, np.inf])
def test_float32_distributions_are_within_3e_7(df):
    t = np.linspace(-8, 12, 4001)
    score = stats.norm() if np.isinf(df) else stats.t(df)
    for dtype in (np.float32, np.float64):
        below, density = t_distribution(t.astype(dtype)[None, :, None], StudentT.of(np.array([df])))
        np.testing.assert_allclose(below[0, :, 0], score.cdf(t), atol=3e-7)
        np.testing.assert_allclose(density[0, :, 0], score.pdf(t), atol=3e-7)
        assert (below > 0).all()


def test_batches_equal_single_rows_up_to_float32():
    rng = np.random.default_rng(3)
    locations, scales = 1e3 + rng.normal(size=(300, 4)), 10.0 ** rng.uniform(-3, 1, size=(300, 4))
    for df in ([4.0, 9.0, 30.0, 400.0], [300.0, 1e4, np.inf, 250.0]):
        single = [
            best_arm_probabilities(m[None], s[None], np.array(df))[0] for m, s in zip(locations, scales, strict=True)
        ]
        np.testing.assert_allclose(best_arm_probabilities(locations, scales, np.array(df)), single, atol=1e-6)


def many_arms(seed, n_arms=40):
    rng = np.random.default_rng(seed)
    locations, scales = 0.5 * rng.normal(size=n_arms), 10.0 ** rng.uniform(-2, 0.5, size=n_arms)
    return locations, scales, 4.0 + rng.integers(0, 60, size=n_arms)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_many_arms_of_unlike_scales_equal_fine_quadrature(seed):
    locations, scales, df = many_arms(seed)
    found = best_arm_probabilities(locations[None], scales[None], df)[0]
    ends = np.unique(locations[:, None] + scales[:, None] * stats.t(df[:, None]).ppf(np.linspace(1e-6, 1 - 1e-6, 40)))
    nodes, weights = np.polynomial.legendre.leggauss(4)
    half = np.diff(ends)[:, None] / 2
    z = (ends[:-1, None] + half * (nodes + 1)).ravel()
    scores = (z[:, None] - locations) / scales
    below, density = stats.t(df).cdf(scores).T, stats.t(df).pdf(scores).T
    expected = (density / scales[:, None] / below * below.prod(axis=0) * (half * weights).ravel()).sum(axis=1)
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-4)
    assert found.sum() == pytest.approx(1.0)


def test_many_arms_may_be_unavailable_and_alike():
    locations, scales, df = many_arms(5)
    available = np.ones((2, 40), bool)
    available[1, 3:] = False
    found = best_arm_probabilities(np.tile(locations, (2, 1)), np.tile(scales, (2, 1)), df, available)
    alone = best_arm_probabilities(locations[None, :3], scales[None, :3], df[:3])[0]
    np.testing.assert_allclose(found[1, :3], alone, atol=1e-4)
    assert (found[1, 3:] == 0).all()
    twice = best_arm_probabilities(*(np.tile(values, 2)[None] for values in (locations, scales)), np.tile(df, 2))[0]
    np.testing.assert_allclose(twice[:40], twice[40:], atol=1e-7)


def test_one_arm_is_certain():
    assert best_arm_probabilities(np.zeros((2, 1)), np.ones((2, 1)), np.array([3.0])).tolist() == [
        [1.0],
        [1.0],
    ]


def test_the_work_of_a_row_grows_with_the_arms_not_with_their_square(monkeypatch):
    cells = []

    def counted(t, distributions):
        cells.append(t.size)
        return t_distribution(t, distributions)

    monkeypatch.setattr("bandits.policies.linear.many_arms.t_distribution", counted)
    per_arm = {}
    for n_arms in (50, 1_000):
        locations, scales, df = many_arms(0, n_arms)
        best_arm_probabilities(locations[None], scales[None], df)
        per_arm[n_arms] = sum(cells) / n_arms
        cells.clear()
    assert 0 < per_arm[1_000] < 2 * per_arm[50]
