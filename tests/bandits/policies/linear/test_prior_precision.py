"""The prior precision of least leave-one-out error, against leaving one out and against scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from bandits import FullInformationData, LinUCB, LoggedData, SquareCB, Uniform
from bandits.encoders import ColumnFeatures
from bandits.policies.linear.prior_precision import (
    CANDIDATES,
    choose_part_precisions,
    choose_prior_precision,
    leave_one_out_errors,
)
from bandits.policies.shrunk import shrunk
from bandits.testing import example_data, example_log
from tests.support.plain_ridge import plain_ridge, rows_of


def made(n_rows, n_features, signal, n_arms=3):
    rng = np.random.default_rng(n_rows)
    contexts = (rng.normal(size=(n_rows, n_features)) / np.sqrt(n_features)).astype(np.float32)
    rewards = 5.0 + signal * contexts @ rng.normal(size=(n_features, n_arms)) + rng.normal(size=(n_rows, n_arms))
    return FullInformationData(contexts, rewards, tuple("abcdef"[:n_arms]))


def test_choose_prior_precision_shrinks_noise_away():
    rng = np.random.default_rng(0)
    contexts = rng.normal(size=(100, 50)) / np.sqrt(50)
    noise = FullInformationData(contexts, rng.normal(size=(100, 3)), ("a", "b", "c"))
    signal = FullInformationData(contexts, 50 * contexts @ rng.normal(size=(50, 3)), ("a", "b", "c"))
    assert choose_prior_precision(noise) >= 100
    assert choose_prior_precision(signal) == 0.1
    assert choose_prior_precision(signal.log_with(Uniform(), rng)) <= 1.0
    with pytest.raises(ValueError, match="at least one value"):
        choose_prior_precision(noise, candidates=())


@pytest.mark.parametrize("intercept_precision", [0.01, None])
def test_errors_are_those_of_leaving_one_out(intercept_precision):
    log = example_log()
    log = LoggedData(log.contexts, log.actions, log.rewards, log.propensities, log.arm_names)
    few = log.subset(np.arange(9))  # fewer rows of an arm than features
    for rows in (log, few):
        squares = []
        for row in range(len(rows)):
            rest = rows.subset(np.delete(np.arange(len(rows)), row))
            own = rest.subset(rest.actions == rows.actions[row])
            fitted, _ = plain_ridge(own.contexts, own.rewards, prior=3.0, intercept=intercept_precision)
            predicted = rows_of(rows.contexts[[row]], intercept_precision)[0] @ fitted
            squares.append((rows.rewards[row] - predicted) ** 2)
        errors = leave_one_out_errors(rows, (0.5, 3.0), intercept_precision)
        assert errors[1] == pytest.approx(np.mean(squares), rel=1e-6)


def test_a_row_weight_counts_as_repeated_rows_of_a_like_error():
    log = example_log()
    halves = LoggedData(*(getattr(log, n) for n in ("contexts", "actions", "rewards", "propensities", "arm_names")))
    weighted = LoggedData(
        log.contexts, log.actions, log.rewards, log.propensities, log.arm_names, weights=np.full(len(log), 4.0)
    )
    errors = leave_one_out_errors(weighted, (4.0,), 0.04)
    np.testing.assert_allclose(errors, leave_one_out_errors(halves, (1.0,), 0.01), rtol=1e-6)


@pytest.mark.parametrize(("n_rows", "n_features"), [(200, 12), (40, 90)])
@pytest.mark.parametrize("signal", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("intercept", [False, True])
def test_the_choice_is_that_of_ridge_cv(n_rows, n_features, signal, intercept):
    data = made(n_rows, n_features, signal)
    precision = 1e-9 if intercept else None
    between = data.rewards - data.rewards.mean(axis=1, keepdims=True)
    reference = RidgeCV(CANDIDATES, fit_intercept=intercept).fit(data.contexts.astype(float), between)
    assert choose_prior_precision(data, intercept_precision=precision) == reference.alpha_
    errors = leave_one_out_errors(data, CANDIDATES, precision)
    assert errors.min() == pytest.approx(-reference.best_score_, rel=1e-5)
    one = LoggedData(data.contexts, np.zeros(n_rows, int), data.rewards[:, 0], np.ones(n_rows), data.arm_names)
    reference = RidgeCV(CANDIDATES, fit_intercept=intercept).fit(data.contexts.astype(float), data.rewards[:, 0])
    assert choose_prior_precision(one, intercept_precision=precision) == reference.alpha_


def test_ragged_data_teach_each_arm_its_own_rows():
    full = example_data()
    observed = np.random.default_rng(0).random(full.rewards.shape) < 0.6
    observed[:, 0] = True
    ragged = FullInformationData(full.contexts, full.rewards, full.arm_names, observed=observed)
    rows, actions = np.nonzero(observed)
    log = LoggedData(full.contexts[rows], actions, full.rewards[observed], np.ones(len(rows)), full.arm_names)
    np.testing.assert_allclose(leave_one_out_errors(ragged, CANDIDATES), leave_one_out_errors(log, CANDIDATES))


def text_and_segment(n_rows=150, n_words=80):
    """Return data whose rewards follow a segment; the words beside it are noise."""
    rng = np.random.default_rng(0)
    words = rng.normal(size=(n_rows, n_words)) / np.sqrt(n_words)
    labels = rng.integers(3, size=n_rows)
    columns = ColumnFeatures({"segment": ("a", "b", "c")})
    rewards = np.eye(3)[labels] + 0.3 * rng.normal(size=(n_rows, 3))
    contexts = np.concatenate([words, np.eye(3)[labels]], axis=1)
    return FullInformationData(contexts, rewards, ("x", "y", "z"), encoder=columns.beside("words"))


def test_columns_beside_a_text_shrink_less_where_they_say_more():
    data = text_and_segment()
    (n_words, of_words), (n_columns, of_columns) = choose_part_precisions(data)
    assert (n_words, n_columns) == (80, 3)
    assert of_words > 10 * of_columns
    assert choose_part_precisions(replace(data, encoder="words")) == choose_prior_precision(data)
    assert shrunk(LinUCB(), data).prior_precision == ((80, of_words), (3, of_columns))
    assert shrunk(SquareCB(), data).prior_precision == choose_prior_precision(data, intercept_precision=1.0)


def test_a_precision_a_part_is_that_of_scaled_features(tmp_path):
    data = text_and_segment(60, 4)
    scaled = data.contexts * np.repeat([1.0, 2.0], [4, 3])
    policy = LinUCB(0.0, prior_precision=[[4, 8.0], [3, 2.0]]).fit(data)
    plain = LinUCB(0.0, prior_precision=8.0).fit(replace(data, contexts=scaled))
    np.testing.assert_allclose(policy.predict_rewards(data.contexts), plain.predict_rewards(scaled), rtol=1e-6)
    saved = LinUCB.load(policy.save(tmp_path / "policy"))
    assert saved.prior_precision == ((4, 8.0), (3, 2.0))
    np.testing.assert_array_equal(saved.predict_rewards(data.contexts), policy.predict_rewards(data.contexts))


@pytest.mark.parametrize("wrong", [(), ((3, -1.0),), ((0, 1.0),), ((3, 1.0, 2.0),), "10", ((3, 1.0),)])
def test_parts_that_fit_no_contexts_are_refused(wrong):
    with pytest.raises(ValueError, match=r"must|parts of 3 features"):
        LinUCB(prior_precision=wrong).fit(text_and_segment(20, 4))
