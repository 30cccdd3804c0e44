"""Choosing a linear policy's prior precision from data, by leave-one-out errors in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.checks import Float64, positive
from bandits.data.policy_data import PolicyData
from bandits.policies.linear.difference_errors import (
    difference_errors,
    largest_within_one_error,
    shows_differences,
)
from bandits.policies.linear.ridge_path import RidgePath, parts

CANDIDATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


def choose_prior_precision(
    data: PolicyData, candidates: Sequence[float] = CANDIDATES, intercept_precision: float | None = 0.01
) -> float:
    """Return the prior precision with which rows left out are predicted best.

    What counts is how arms differ. A log with propensities, in which 2 to 64 arms were taken, is asked for
    `difference_errors`, of which the largest precision within one standard error of the best is taken; other data for
    `leave_one_out_errors`, which on full information are of differences too, and of which the best one is.

    Args:
        data: the rows that the policy will be fitted to.
        candidates: values to try, each > 0; the larger, the closer the policy is to the best fixed arm.
        intercept_precision: as in `LinearPolicy`.
    """
    _check(candidates)
    if shows_differences(data.feedback()):
        return largest_within_one_error(difference_errors(data, candidates, intercept_precision), candidates)
    return candidates[int(np.argmin(leave_one_out_errors(data, candidates, intercept_precision)))]


def leave_one_out_errors(
    data: PolicyData, candidates: Sequence[float], intercept_precision: float | None = 0.01
) -> Float64:
    """Return, for each prior precision, the mean squared error of predicting each reward from the other rows.

        error of row i = (r_i - prediction_i) / (1 - w_i x_i' P^-1 x_i), with P from all rows.

    Where every arm is observed, what all arms of a query share is taken out first, because only differences between
    arms matter to a choice. One eigenvalue decomposition an arm, or one for all where every arm is observed, serves
    all candidates.

    Args:
        data: the rows; their weights count.
        candidates: c prior precisions, each > 0.
        intercept_precision: as in `LinearPolicy`.

    Returns:
        (c,) float64.

    Source: Allen 1974 (PRESS); Hastie, Tibshirani and Friedman 2009, eq. 7.64.
    """
    _check(candidates)
    feedback, errors, total = data.feedback(), np.zeros(len(candidates)), 0.0
    for block in feedback.blocks(max(feedback.n_rows, 1)):
        rewards = block.rewards
        if feedback.complete:
            rewards = rewards - rewards.mean(axis=1, keepdims=True)
        weights = np.ones(len(rewards)) if block.weights is None else block.weights
        contexts = data.contexts[block.rows]
        path = RidgePath.of(contexts, rewards, weights, np.array(candidates), intercept_precision)
        for part in parts(len(weights)):
            residuals = rewards[part, :, None] - path.left_out(contexts[part], rewards[part], weights[part])
            errors += weights[part] @ (residuals * residuals).sum(axis=1)
        total += float(weights.sum()) * rewards.shape[1]
    return errors / max(total, np.finfo(np.float64).tiny)


def _check(candidates: Sequence[float]) -> None:
    if not candidates:
        raise ValueError("candidates must hold at least one value, got none")
    for value in candidates:
        positive(value, "candidates")
