"""Choosing a linear policy's prior precision from data, by leave-one-out error in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from bandits.checks import Float32, Float64, positive
from bandits.data.policy_data import PolicyData

CANDIDATES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_CHUNK = 2048  # rows turned to float64 at once
_NOTHING = 1e-13  # eigenvalues below, relative to the largest, are rounding


def choose_prior_precision(
    data: PolicyData, candidates: Sequence[float] = CANDIDATES, intercept_precision: float | None = 0.01
) -> float:
    """Return the prior precision with the least mean squared leave-one-out error.

    Args:
        data: the rows that the policy will be fitted to.
        candidates: values to try, each > 0; the larger, the closer the policy is to the best fixed arm.
        intercept_precision: as in `LinearPolicy`.
    """
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
    if not candidates:
        raise ValueError("candidates must hold at least one value, got none")
    for value in candidates:
        positive(value, "candidates")
    feedback, errors, total = data.feedback(), np.zeros(len(candidates)), 0.0
    for block in feedback.blocks(max(feedback.n_rows, 1)):
        rewards = block.rewards
        if feedback.complete:
            rewards = rewards - rewards.mean(axis=1, keepdims=True)
        weights = np.ones(len(rewards)) if block.weights is None else block.weights
        rows = _Rows(data.contexts[block.rows], rewards, weights)
        errors += _squared_errors(rows, np.array(candidates), intercept_precision)
        total += float(weights.sum()) * rewards.shape[1]
    return errors / max(total, np.finfo(np.float64).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Contexts (n, d) float32, rewards (n, a) of the arms known on them, and weights (n,)."""

    contexts: Float32
    rewards: Float64
    weights: Float64

    def chunks(self) -> Iterator[tuple[Float64, Float64, Float64]]:
        """Yield contexts, as float64, rewards and weights, a few rows at a time."""
        for start in range(0, len(self.weights), _CHUNK):
            part = slice(start, start + _CHUNK)
            yield self.contexts[part].astype(np.float64), self.rewards[part], self.weights[part]


def _squared_errors(rows: _Rows, precisions: Float64, intercept_precision: float | None) -> Float64:
    """Return the sum of squared leave-one-out errors for each prior precision, (c,) float64.

    The intercept is eliminated first: with weights w, s = sum w + its precision i and z = x - (sum w x) / s,

        x' P^-1 x = 1 / s + z' (Z + precision I)^-1 z,   Z = sum w z z' + i c c',   c = (sum w x) / s,

    and Z = V diag(e) V' is decomposed once.
    """
    centre, per_row = np.zeros(rows.contexts.shape[1]), 0.0  # without an intercept
    if intercept_precision is not None:
        per_row = 1.0 / (float(rows.weights.sum()) + intercept_precision)
        centre = per_row * (rows.weights @ rows.contexts)
    mean = per_row * (rows.weights @ rows.rewards)
    eigenvalues, vectors = _spectrum(rows, centre, np.sqrt(intercept_precision or 0.0) * centre)
    inverse = 1.0 / (eigenvalues[:, None] + precisions)  # (r, c)
    moments = np.zeros((len(eigenvalues), len(mean)))
    for contexts, rewards, weights in rows.chunks():
        moments += vectors.T @ ((contexts - centre).T @ (weights[:, None] * rewards))
    errors = np.zeros(len(precisions))
    for contexts, rewards, weights in rows.chunks():
        rotated = (contexts - centre) @ vectors
        left = 1.0 - weights[:, None] * (per_row + (rotated * rotated) @ inverse)
        for arm, moment in enumerate(moments.T):
            residuals = (rewards[:, [arm]] - mean[arm] - rotated @ (moment[:, None] * inverse)) / left
            errors += weights @ (residuals * residuals)
    return errors


def _spectrum(rows: _Rows, centre: Float64, prior_row: Float64) -> tuple[Float64, Float64]:
    """Return eigenvalues (r,) and eigenvectors (d, r) of sum w z z' plus the prior's row; r <= d, zeros left out.

    Rows fewer than features are decomposed by their products with one another, of which there are fewer.
    """
    if len(rows.weights) >= len(centre):
        total = np.outer(prior_row, prior_row)
        for contexts, _, weights in rows.chunks():
            scaled = np.sqrt(weights)[:, None] * (contexts - centre)
            total += scaled.T @ scaled
        eigenvalues, vectors = linalg.eigh(total, check_finite=False, overwrite_a=True)
        return np.maximum(eigenvalues, 0.0), vectors
    scaled = np.vstack([np.sqrt(rows.weights)[:, None] * (rows.contexts - centre), prior_row])
    eigenvalues, vectors = linalg.eigh(scaled @ scaled.T, check_finite=False, overwrite_a=True)
    kept = eigenvalues > _NOTHING * max(eigenvalues[-1], np.finfo(np.float64).tiny)
    return eigenvalues[kept], scaled.T @ (vectors[:, kept] / np.sqrt(eigenvalues[kept]))
