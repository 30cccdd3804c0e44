"""Ridge regression written out, to compare the linear policies with."""

import numpy as np


def rows_of(contexts, intercept):
    """Return contexts as float64, with a column of ones where there is an intercept."""
    rows = np.asarray(contexts, np.float64)
    return rows if intercept is None else np.column_stack([rows, np.ones(len(rows))])


def plain_ridge(contexts, rewards, *, prior=1.0, intercept=0.01, common=0.0):
    """Return coefficients and covariance of one arm, its intercept's prior mean being `common`."""
    rows = rows_of(contexts, intercept)
    diagonal = np.array([prior] * np.shape(contexts)[1] + ([] if intercept is None else [intercept]))
    precision = np.diag(diagonal) + rows.T @ rows
    moment = rows.T @ rewards
    if intercept is not None:
        moment[-1] += intercept * common
    return np.linalg.solve(precision, moment), np.linalg.inv(precision)


def common_intercept(arms, *, prior=1.0, intercept=0.01):
    """Return the intercepts' likeliest common mean by generalised least squares, for arms (contexts, rewards)."""
    above, below = 0.0, 0.01
    for contexts, rewards in arms:
        contexts = np.asarray(contexts, np.float64)
        variance = np.eye(len(contexts)) + contexts @ contexts.T / prior + 1.0 / intercept
        whitened = np.linalg.solve(variance, np.ones(len(contexts)))
        above, below = above + whitened @ rewards, below + whitened.sum()
    return above / below
