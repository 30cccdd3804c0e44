"""How well ridge regressions tell arms apart, on a log that shows one arm a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.checks import Bool, Float64, Int64
from bandits.data.feedback import Block, Feedback
from bandits.data.policy_data import PolicyData
from bandits.policies.linear.ridge_path import RidgePath, parts

_MOST_ARMS = 64
_ENTRIES, _FEWEST_ROWS = 80_000, 2_000  # rows times arms that errors are averaged over; rows, where arms are many


def shows_differences(feedback: Feedback) -> bool:
    """Return whether `difference_errors` can be told: a log with propensities in which several arms were taken."""
    n_seen = int((feedback.arm_sums()[1] > 0).sum()) if feedback.propensities is not None else 0
    return 1 < n_seen <= _MOST_ARMS


def largest_within_one_error(errors: Float64, candidates: Sequence[float]) -> float:
    """Return the largest candidate whose mean error is within one standard error of the least one's.

    On a log errors say little of how arms differ, and what shrinks less must show its worth: the largest candidates are
    the closest to the best fixed arm.

    Args:
        errors: (n, c) of n rows and c candidates.
        candidates: c values.
    """
    return max(value for value, kept in zip(candidates, within_one_error(errors), strict=True) if kept)


def within_one_error(errors: Float64) -> Bool:
    """Return (c,) bool: whose mean error is within one standard error of the least one's, compared row by row.

    Args:
        errors: (n, c) of n rows and c candidates.

    Source: Breiman, Friedman, Olshen and Stone 1984, Classification and Regression Trees, section 3.4.3 (the one
    standard error rule), there of the error itself, here of its difference.
    """
    worse = errors - errors[:, [int(errors.mean(axis=0).argmin())]]
    return np.asarray(worse.mean(axis=0) <= worse.std(axis=0) / np.sqrt(len(worse)))


def difference_errors(data: PolicyData, candidates: Sequence[float], intercept_precision: float | None) -> Float64:
    """Return, for each row and prior precision, the squared error of the predicted differences between the arms.

        y_ia = m_ia + [a was taken on row i] min(1 / propensity_i, sqrt(n)) (r_i - m_ia)
        error of row i = sum over a of ((y_ia - mean of y_i) - (f_ia - mean of f_i))^2

    Here f is predicted, and m is f at the precision of least leave-one-out error; both leave row i out. Whatever m is,
    y_ia has the mean of arm a's reward, so that errors are, but for one number that all candidates share, those of the
    predicted differences. What all arms share, such as how hard a query is, matters to no choice and does not count; it
    decides the error of each arm's own reward, by which shrinkage comes out too weak. Arms never taken, or not there on
    a row, are left out; of many rows, as many as it takes are averaged over.

    Args:
        data: a log of which `shows_differences` holds; its weights count.
        candidates: c prior precisions, each > 0.
        intercept_precision: of an intercept about 0; None leaves it out.

    Returns:
        (n, c) float64, of the rows that are averaged over; a row that counts w times as often is w times as large.

    Source: scores: Dudik, Langford and Li 2011, Doubly Robust Policy Evaluation and Learning (arXiv:1103.4601), eq. 2;
    truncated weights: Ionides 2008; choosing by the error of a contrast, not of the outcome: Nie and Wager 2021
    (arXiv:1712.04912), section 3.
    """
    feedback = data.feedback()
    blocks = {block.arms[0]: block for block in feedback.blocks(max(feedback.n_rows, 1))}
    every = -(-feedback.n_rows // max(_FEWEST_ROWS, _ENTRIES // len(blocks)))
    rows = np.arange(0, feedback.n_rows, every)
    predicted = _predicted(data, blocks, rows, np.array(candidates), intercept_precision)  # (n, a, c)
    place = np.searchsorted(list(blocks), feedback.actions[rows])
    here, rewards = np.arange(len(rows)), feedback.rewards[rows]
    weights = np.ones(len(rows)) if feedback.weights is None else feedback.weights[rows]
    own = predicted[here, place]
    model = predicted[:, :, int(np.argmin(weights @ (own - rewards[:, None]) ** 2))]
    scores = model.copy()
    assert feedback.propensities is not None
    inverse = np.minimum(1.0 / feedback.propensities[rows], np.sqrt(feedback.n_rows))
    scores[here, place] += inverse * (rewards - model[here, place])
    available = np.ones(model.shape) if feedback.available is None else feedback.available[rows][:, list(blocks)]
    off = _centred(scores[:, :, None] - predicted, available.astype(np.float64))
    return np.asarray(weights[:, None] * (off * off).sum(axis=1))


def _predicted(
    data: PolicyData, blocks: dict[int, Block], rows: Int64, precisions: Float64, intercept_precision: float | None
) -> Float64:
    """Return each arm's prediction on some rows, those that it was taken on left out, (n, a, c) float64."""
    predicted = np.empty((len(rows), len(blocks), len(precisions)))
    for place, block in enumerate(blocks.values()):
        own = np.arange(len(data))[block.rows]
        weights = np.ones(len(own)) if block.weights is None else block.weights
        contexts = data.contexts[own]
        path = RidgePath.of(contexts, block.rewards, weights, precisions, intercept_precision)
        for part in parts(len(rows)):
            predicted[part, place] = path.predicted(data.contexts[rows[part]])[:, 0]
        asked = np.flatnonzero(np.isin(own, rows))
        left_out = path.left_out(contexts[asked], block.rewards[asked], weights[asked])
        predicted[np.searchsorted(rows, own[asked]), place] = left_out[:, 0]
    return predicted


def _centred(values: Float64, available: Float64) -> Float64:
    """Return values (n, a, c) less their mean over the available arms; 0 for the others."""
    shown = available[:, :, None]
    means = (values * shown).sum(axis=1) / np.maximum(available.sum(axis=1), 1.0)[:, None]
    return np.asarray((values - means[:, None, :]) * shown)
