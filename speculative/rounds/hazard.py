"""Logistic regression with a ridge, solved exactly: what each step of an acceptance curve is made of."""

import numpy as np

from bandits.checks import Float64

N_STEPS = 50
TOLERANCE = 1e-8


def fit_logistic(features: Float64, outcomes: Float64, ridge: float) -> Float64:
    """Return the weights, (d,), that minimise log loss + ridge / 2 * |weights|^2, by Newton's method.

    The first feature is the constant, which is not penalised. Steps are halved while they do not lower the loss.

    Args:
        features: (n, d).
        outcomes: (n,) 0 or 1; shares between are allowed.
        ridge: > 0.

    Source: Hastie, Tibshirani, Friedman 2009, The Elements of Statistical Learning, equations 4.20 to 4.26.
    """
    penalty = np.full(features.shape[1], ridge)
    penalty[0] = 1e-6
    weights = np.zeros(features.shape[1])
    loss = _loss(features, outcomes, penalty, weights)
    for _ in range(N_STEPS):
        probabilities = sigmoid(features @ weights)
        gradient = features.T @ (probabilities - outcomes) + penalty * weights
        curvature = probabilities * (1 - probabilities)
        step = np.linalg.solve((features * curvature[:, None]).T @ features + np.diag(penalty), gradient)
        size = 1.0
        while size > 1e-6:
            tried = weights - size * step
            lower = _loss(features, outcomes, penalty, tried)
            if lower <= loss:
                break
            size /= 2
        else:
            break
        gained, weights, loss = loss - lower, tried, lower
        if gained < TOLERANCE * max(1.0, abs(loss)):
            break
    return weights


def sigmoid(values: Float64) -> Float64:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * values))


def _loss(features: Float64, outcomes: Float64, penalty: Float64, weights: Float64) -> float:
    scores = features @ weights
    return float(np.logaddexp(0.0, scores).sum() - outcomes @ scores + 0.5 * (penalty * weights**2).sum())
