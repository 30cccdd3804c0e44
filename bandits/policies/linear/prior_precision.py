"""Choosing a linear policy's prior precision from data, by leave-one-out error in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.checks import Float64
from bandits.data.policy_data import PolicyData
from bandits.policies.linear.lin_ucb import LinUCB
from bandits.policies.linear.linear_policy import LinearPolicy

CANDIDATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


def choose_prior_precision(
    data: PolicyData, candidates: Sequence[float] = CANDIDATES, intercept_precision: float | None = 0.01
) -> float:
    """Return the prior precision with the least mean squared leave-one-out error.

        error of row i = (r_i - prediction_i) / (1 - x_i' P^-1 x_i), with P from all rows,

    is exactly what predicting row i from the others would give. Where every arm is observed, what all arms of
    a query share is taken out first, because only differences between arms matter to a choice. Use it as
    `LinUCB(prior_precision=choose_prior_precision(data))`.

    Args:
        data: the rows that the policy will be fitted to.
        candidates: values to try, each > 0; the larger, the closer the policy is to the best fixed arm.
        intercept_precision: as in `LinearPolicy`.

    Source: Allen 1974 (PRESS); Hastie, Tibshirani and Friedman 2009, eq. 7.64.
    """
    if not candidates:
        raise ValueError("candidates must hold at least one value, got none")
    errors = []
    for value in candidates:
        policy = LinUCB(prior_precision=value, intercept_precision=intercept_precision).fit(data)
        errors.append(float(np.mean(leave_one_out_errors(policy, data) ** 2)))
    return candidates[int(np.argmin(errors))]


def leave_one_out_errors(policy: LinearPolicy, data: PolicyData) -> Float64:
    """Return the errors, (m,) float64, of predicting each reward that `policy` was fitted to."""
    aligned = data.with_arms(policy.arm_names)
    feedback = aligned.feedback()
    means, leverages = policy.predict(aligned.contexts)
    cells = feedback.rows, feedback.actions
    errors: Float64 = (feedback.rewards - means[cells]) / (1.0 - leverages[cells])
    if feedback.complete:
        table = errors.reshape(-1, feedback.n_arms)
        errors = (table - table.mean(axis=1, keepdims=True)).reshape(-1)
    return errors
