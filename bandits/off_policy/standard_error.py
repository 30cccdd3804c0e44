"""How far an off-policy estimate may be off: its standard error, and how well that error is known."""

from __future__ import annotations

import numpy as np

from bandits.checks import Float64
from bandits.off_policy.terms import Terms


class UndefinedIntervalError(ValueError):
    """This kind of interval does not exist for these terms; the message says why."""


def degrees_of_freedom(terms: Terms) -> float:
    """Return how many degrees of freedom the variance of an estimate is known with; at least 1, at most q - 1.

        2 q / (k - (q - 3) / (q - 1)),  k = q * sum(influence^4) / sum(influence^2)^2 the kurtosis by query

    This gives a scaled chi-squared distribution the mean and the variance of the sample variance: q - 1 for normal
    terms, fewer where a few heavy weights decide.

    Source: Satterthwaite 1946, An Approximate Distribution of Estimates of Variance Components, for the matching;
    the sample variance of terms of kurtosis k has the variance s^4 (k - (q - 3) / (q - 1)) / q.
    """
    several_queries(terms)
    q = terms.n_queries
    squares = np.square(terms.influence)
    total = float(squares.sum())
    if total == 0:
        return q - 1.0
    kurtosis = q * float(np.square(squares / total).sum())
    return float(np.clip(2 * q / (kurtosis - (q - 3) / (q - 1)), 1.0, q - 1.0))


def standard_error(terms: Terms) -> float:
    """Return the standard error of an estimate: the larger of the robust and the pooled one.

        robust^2 = q / (q - 1) * sum influence^2
        pooled^2 = s^2 (sum(W^2) + M) / D^2 + variance of the offset's mean
                   + m^2 (sum((W - c)^2) + M) / D^2, for a mean

    by query, with W its importance weights, c its row weights, D the sum of W (of c for a mean), m the weighted mean
    of rewards (or residuals), s^2 their weighted variance and M = L min(max(W), L), L = max(sum(c) - sum(W), 0). The
    robust one is too small where no heavy row happens to show the rarer reward; the pooled one takes such rows to vary
    as the others do. Weights have a mean of 1: L, what their sum lacks, stood on heavy rows that happen not to be in
    the log, and M is the sum of squares of these, had each the largest weight seen, and were there at least one.

    Raises:
        UndefinedIntervalError: if there is one query only.

    Source: Angrist and Pischke 2009, Mostly Harmless Econometrics, section 8.1 (the larger of two errors); M is ours.
    """
    several_queries(terms)
    q = terms.n_queries
    robust = q / (q - 1) * float(np.square(terms.influence).sum())
    weights = terms.weights_by_query()
    return float(np.sqrt(robust if weights is None else max(robust, _pooled_variance(terms, weights))))


def _pooled_variance(terms: Terms, weights: Float64) -> float:
    own, total, weight = terms.by_query, terms.sums, float(weights.sum())
    if weight == 0:
        return 0.0
    mean = total.numerator / weight
    deviation = own.numerator - mean * weights
    spread = np.divide(np.square(deviation), weights, out=np.zeros_like(weights), where=weights > 0).sum() / weight
    offset = own.offset - total.offset / total.weight * own.weight
    variance = spread * (np.square(weights).sum() + terms.lacking) / total.denominator**2
    variance += np.square(offset / total.weight).sum()
    if not terms.is_ratio:
        variance += mean**2 * (np.square(weights - own.weight).sum() + terms.lacking) / total.weight**2
    return float(variance)


def several_queries(terms: Terms) -> None:
    """Reject terms of one query only, of which no variance is known."""
    if terms.n_queries < 2:
        raise UndefinedIntervalError("an interval needs at least 2 queries, and there is 1")
