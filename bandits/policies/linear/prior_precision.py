"""Choosing a linear policy's prior precision from data, by leave-one-out errors in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from bandits.checks import Float64, positive
from bandits.data.array_data import Data
from bandits.data.policy_data import PolicyData
from bandits.encoders.columns import ColumnFeatures
from bandits.policies.linear.difference_errors import (
    difference_errors,
    largest_within_one_error,
    shows_differences,
    within_one_error,
)
from bandits.policies.linear.linear_policy import Parts
from bandits.policies.linear.ridge_path import RidgePath, parts

CANDIDATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
FREE = 0.01  # an intercept's precision about 0 that shrinks it next to nothing, so that no offset of rewards matters
_RATIOS = (1.0, 10.0, 100.0, 1000.0)  # of an encoder's features' precision over that of the columns beside them


def choose_prior_precision(
    data: PolicyData, candidates: Sequence[float] = CANDIDATES, intercept_precision: float | None = FREE
) -> float:
    """Return the prior precision with which rows left out are predicted best.

    What counts is how arms differ. A log with propensities, in which 2 to 64 arms were taken, is asked for
    `difference_errors`, of which the largest precision within one standard error of the best is taken; other data for
    `leave_one_out_errors`, which on full information are of differences too, and of which the best one is.

    Args:
        data: the rows that the policy will be fitted to.
        candidates: values to try, each > 0; the larger, the closer the policy is to the best fixed arm.
        intercept_precision: of an intercept about 0; None leaves it out.
    """
    _check(candidates)
    if shows_differences(data.feedback()):
        return largest_within_one_error(difference_errors(data, candidates, intercept_precision), candidates)
    return candidates[int(np.argmin(leave_one_out_errors(data, candidates, intercept_precision)))]


def choose_part_precisions(data: PolicyData, intercept_precision: float | None = FREE) -> float | Parts:
    """Return the prior precision of an encoder's features, and that of the columns that stand beside them.

    A column, such as a segment, may say more than hundreds of features of a text, whose precision would hide it. The
    pairs tried are `CANDIDATES` for the text, and `_RATIOS` over the columns'. Of those whose error is within one
    standard error of the least, the one with the largest precision of the text, whose features are the many, is taken;
    among equals, the one of least error.

    Args:
        data: the rows that the policy will be fitted to.
        intercept_precision: of an intercept about 0; None leaves it out.

    Returns:
        Both parts; one number, that of `choose_prior_precision`, where the contexts have one part.
    """
    columns = ColumnFeatures.of_name(data.encoder)
    n_encoded = data.n_features - (0 if columns is None else sum(map(len, columns.parts.values())))
    if columns is None or n_encoded <= 0:
        return choose_prior_precision(data, intercept_precision=intercept_precision)
    tried = [_scaled_errors(cast("Data", data), n_encoded, ratio, intercept_precision) for ratio in _RATIOS]
    errors = np.concatenate(tried, axis=1)
    pairs = [(encoded, encoded / ratio) for ratio in _RATIOS for encoded in CANDIDATES]
    means = errors.mean(axis=0)
    best = max(np.flatnonzero(within_one_error(errors)), key=lambda place: (pairs[place][0], -means[place]))
    encoded, beside = pairs[best]
    return (n_encoded, encoded), (data.n_features - n_encoded, beside)


def _scaled_errors(data: Data, n_encoded: int, ratio: float, intercept_precision: float | None) -> Float64:
    """Return each row's errors (n, c) where the columns' precision is the `ratio`-th part of the encoded features'."""
    contexts = data.contexts.copy()
    contexts[:, n_encoded:] *= np.float32(np.sqrt(ratio))
    scaled = replace(data, contexts=contexts)
    if shows_differences(data.feedback()):
        return difference_errors(scaled, CANDIDATES, intercept_precision)
    return _row_errors(scaled, CANDIDATES, intercept_precision)[0]


def leave_one_out_errors(
    data: PolicyData, candidates: Sequence[float], intercept_precision: float | None = FREE
) -> Float64:
    """Return, for each prior precision, the mean squared error of predicting each reward from the other rows.

        error of row i = (r_i - prediction_i) / (1 - w_i x_i' P^-1 x_i), with P from all rows.

    Where every arm is observed, what all arms of a query share is taken out first, because only differences between
    arms matter to a choice. One eigenvalue decomposition an arm, or one for all where every arm is observed, serves
    all candidates.

    Args:
        data: the rows; their weights count.
        candidates: c prior precisions, each > 0.
        intercept_precision: of an intercept about 0; None leaves it out.

    Returns:
        (c,) float64.

    Source: Allen 1974 (PRESS); Hastie, Tibshirani and Friedman 2009, eq. 7.64.
    """
    _check(candidates)
    errors, total = _row_errors(data, candidates, intercept_precision)
    return np.asarray(errors.sum(axis=0) / max(total, np.finfo(np.float64).tiny))


def _row_errors(
    data: PolicyData, candidates: Sequence[float], intercept_precision: float | None
) -> tuple[Float64, float]:
    """Return each row's squared errors, summed over its arms and times its weight, (n, c); and the sum of weights."""
    feedback, total = data.feedback(), 0.0
    errors = np.zeros((feedback.n_rows, len(candidates)))
    for block in feedback.blocks(max(feedback.n_rows, 1)):
        rewards = block.rewards
        if feedback.complete:
            rewards = rewards - rewards.mean(axis=1, keepdims=True)
        weights = np.ones(len(rewards)) if block.weights is None else block.weights
        contexts, rows = data.contexts[block.rows], np.arange(feedback.n_rows)[block.rows]
        path = RidgePath.of(contexts, rewards, weights, np.array(candidates), intercept_precision)
        for part in parts(len(weights)):
            residuals = rewards[part, :, None] - path.left_out(contexts[part], rewards[part], weights[part])
            errors[rows[part]] += weights[part, None] * (residuals * residuals).sum(axis=1)
        total += float(weights.sum()) * rewards.shape[1]
    return errors, total


def _check(candidates: Sequence[float]) -> None:
    if not candidates:
        raise ValueError("candidates must hold at least one value, got none")
    for value in candidates:
        positive(value, "candidates")
