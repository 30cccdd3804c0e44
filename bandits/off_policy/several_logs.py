"""One log of several logging policies, with the propensities of their mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bandits import checks
from bandits.data.logged_data import LoggedData
from bandits.off_policy.problem import OffPolicyProblem
from bandits.policies.policy import Policy


def mixture_log(logs: Mapping[str, LoggedData], policies: Mapping[str, Policy]) -> LoggedData:
    """Return the rows of all logs, each with the probability that a logging policy drawn by rows would act as logged.

        propensity = sum over logs of (rows of the log / all rows) * probability of the action under its policy,

    where a row of weight 2 counts as two rows.

    Every estimator then has the weights of the mixture, which are smaller than those of a policy that hardly ever took
    the action. `domains` names each row's logging policy.

    Args:
        logs: by name of the logging policy; contexts of one distribution.
        policies: the same names; each with the probabilities that it had while it logged.

    Raises:
        ValueError: if names differ, or a policy gives a logged action another probability than its log says.

    Source: Agarwal, Basu, Schnabel and Joachims 2017, Effective Evaluation using Logged Bandit Feedback from Multiple
        Loggers (arXiv:1703.06180), balanced estimator.
    """
    if not logs or set(logs) != set(policies):
        raise ValueError(f"policies must be one for each log, got logs {sorted(logs)} and policies {sorted(policies)}")
    whole = LoggedData.concat(
        replace(log, domains=(name,) * len(log), action_probabilities=None) for name, log in logs.items()
    )
    counts = np.ones(len(whole)) if whole.weights is None else whole.weights
    mixture = np.zeros((len(whole), whole.n_arms))
    start = 0
    for name, log in logs.items():
        probabilities = OffPolicyProblem.of(policies[name], whole).probabilities
        own = np.arange(start, start + len(log))
        stated = probabilities[own, whole.actions[own]]
        wrong = np.abs(stated - log.propensities) > checks.PROBABILITY_TOLERANCE
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(
                f"policies must be those that logged: row {row} of log {name!r} has the propensity "
                f"{log.propensities[row]:.6g}, and its policy gives that action {stated[row]:.6g}"
            )
        mixture += probabilities * (counts[own].sum() / counts.sum())
        start += len(log)
    chosen = mixture[np.arange(len(whole)), whole.actions]
    return replace(whole, propensities=chosen, action_probabilities=mixture)
