"""Arms that a log seems not to have had all the time."""

from __future__ import annotations

import numpy as np

from bandits.checks import Bool
from bandits.data.logged_data import LoggedData

_UNLIKELY = 1 / 16_000  # that a log whose arms never changed has any mark


def absent_arms(log: LoggedData) -> Bool | None:
    """Mark the rows before an arm's first decision and after its last, where they are too many to be an accident.

    The c decisions of an arm that could be chosen on n rows all lie within m of them with probability (m / n)^c, if it
    was always chosen alike. Where that is below 1 / 16,000, over all arms, the arm came late, went early, or was chosen
    ever more rarely; in each case those rows do not say what it would have brought.

    Args:
        log: rows that `available` excludes for an arm are not marked.

    Returns:
        (n, k) bool; None where the log has no times, or records every arm's probability.
    """
    if log.times is None or log.action_probabilities is not None:
        return None
    n_taken = np.bincount(log.actions, minlength=log.n_arms)
    first, last = np.full(log.n_arms, -np.inf), np.full(log.n_arms, np.inf)
    first[n_taken > 0], last[n_taken > 0] = np.inf, -np.inf  # one never taken has no time to be outside of
    np.minimum.at(first, log.actions, log.times)
    np.maximum.at(last, log.actions, log.times)
    able = np.ones((len(log), log.n_arms), np.bool_) if log.available is None else log.available
    n_able = np.maximum(able.sum(axis=0), 1)
    marked = np.zeros_like(able)
    for side in (able & (log.times[:, None] < first), able & (log.times[:, None] > last)):
        log_probability = n_taken * np.log1p(-side.sum(axis=0) / n_able)
        marked |= side & (log_probability < np.log(_UNLIKELY / (2 * log.n_arms)))
    return marked
