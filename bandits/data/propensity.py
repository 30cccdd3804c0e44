"""Propensities for logs that did not record them: estimated, and marked as such."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from bandits import checks
from bandits.checks import Bool, Float64, Int64
from bandits.data.logged_data import LoggedData
from bandits.data.splits import fold_masks


def arm_frequencies(actions: Int64, n_arms: int) -> Float64:
    """Return each arm's share of the actions, (k,) float64: the estimate for a policy that ignores contexts."""
    frequencies: Float64 = np.bincount(actions, minlength=checks.at_least(n_arms, 1, "n_arms")) / len(actions)
    return frequencies


def estimate_propensities(
    log: LoggedData, *, prior_precision: float = 1.0, n_folds: int = 5, seed: int = 0
) -> LoggedData:
    """Replace a log's propensities by those of a model of which arm was taken, and mark them as estimated.

    Multinomial logistic regression on standardised contexts, with an arm that was not available at
    probability 0. Cross-fitted by query: a row's propensity comes from a model that has not seen its query.
    What the logging policy knew and the contexts do not hold makes the estimate wrong, and nothing in a log can
    show that; every estimate of value built on the result is marked too.

    Args:
        log: its own propensities are not looked at; give `arm_frequencies` where nothing is known.
        prior_precision: of each coefficient's normal prior (the intercepts are free).
        n_folds: models fitted; each leaves one fold out.
        seed: of the folds.

    Returns:
        LoggedData with `propensities_estimated`, and `action_probabilities` for all arms.

    Raises:
        ValueError: if there are fewer queries than folds, or an arm was taken in one fold only, so that the
            other folds give it probability 0.
    """
    checks.positive(prior_precision, "prior_precision")
    checks.at_least(seed, 0, "seed")
    contexts = log.contexts.astype(np.float64)
    spread = contexts.std(axis=0)
    contexts = (contexts - contexts.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    rows = np.concatenate([contexts, np.ones((len(log), 1))], axis=1)
    taken = np.flatnonzero(np.bincount(log.actions, minlength=log.n_arms))
    mask = np.zeros((len(log), log.n_arms), np.bool_)
    mask[:, taken] = True if log.available is None else log.available[:, taken]
    probabilities = np.zeros(mask.shape)
    for test in fold_masks(log, n_folds, np.random.default_rng(seed)):
        unseen = np.setdiff1d(log.actions[test], log.actions[~test])
        if unseen.size:
            row = int(np.flatnonzero(test & (log.actions == unseen[0]))[0])
            raise ValueError(
                f"arm {log.arm_names[int(unseen[0])]!r} (row {row}) was taken in one fold only: its propensity "
                "cannot be estimated; leave it out with select_arms, or use fewer folds"
            )
        weights = None if log.weights is None else log.weights[~test]
        coefficients = _fitted(rows[~test], log.actions[~test], mask[~test], weights, prior_precision)
        probabilities[test] = _softmax(rows[test] @ coefficients, mask[test])
    probabilities = np.maximum(
        probabilities, np.where(mask, np.finfo(np.float64).tiny, 0.0)
    )  # rounding must not make a 0
    return replace(
        log,
        propensities=np.minimum(probabilities[np.arange(len(log)), log.actions], 1.0),
        action_probabilities=probabilities,
        propensities_estimated=True,
    )


def _fitted(rows: Float64, actions: Int64, mask: Bool, weights: Float64 | None, prior_precision: float) -> Float64:
    """Return (d + 1, k) float64: the maximum a posteriori coefficients of each arm's logit."""
    from scipy.optimize import minimize  # slow to import, and rarely needed

    shape = rows.shape[1], mask.shape[1]
    index = np.arange(len(rows))
    each = np.ones(len(rows)) if weights is None else weights

    def loss(flat: Float64) -> tuple[float, Float64]:
        coefficients = flat.reshape(shape)
        probabilities = _softmax(rows @ coefficients, mask)
        likelihood = each @ np.log(np.maximum(probabilities[index, actions], np.finfo(np.float64).tiny))
        prior = 0.5 * prior_precision * float((coefficients[:-1] ** 2).sum())
        probabilities[index, actions] -= 1.0
        gradient = rows.T @ (each[:, None] * probabilities)
        gradient[:-1] += prior_precision * coefficients[:-1]
        return float(prior - likelihood) / len(rows), gradient.ravel() / len(rows)

    found = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return cast("Float64", found.x.reshape(shape))


def _softmax(logits: Float64, mask: Bool) -> Float64:
    masked = np.where(mask, logits, -np.inf)
    odds = np.exp(masked - masked.max(axis=1, keepdims=True))
    return cast("Float64", odds / odds.sum(axis=1, keepdims=True))
