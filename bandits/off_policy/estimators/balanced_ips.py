"""Balanced IPS: importance weights learned by telling the evaluated policy's actions from the logged ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bandits.checks import Float64, positive
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Terms

_N_NEWTON = 50
_ENOUGH = 1e-9  # of the loss
_STEEPEST = 30.0  # logits beyond which a weight is 0 or without measure
_BIASED = "it would take the fitted weights for right; SNIPS, by the logged propensities, has one"


@dataclass(frozen=True)
class BalancedIPS(OffPolicyEstimator):
    """sum(v r) / sum(v) with v the fitted odds that a pair of context and arm is the evaluated policy's, not the log's.

    For each arm a logistic regression on the context tells its logged rows, each counting 1, from all rows, each
    counting pi_e(arm given x). Where it is right, its odds are the importance weights. It uses no propensity, so it is
    for logs whose propensities are not to be trusted; it has no interval.

    Args:
        prior_precision: of the regressions' coefficients, > 0; 1 suits contexts of about unit length.

    Source: Sondhi, Arbour and Dimmery 2020, Balanced Off-Policy Evaluation in General Action Spaces
        (arXiv:1906.03694); one regression for each arm and self-normalised here.
    """

    prior_precision: float = 1.0

    def __post_init__(self) -> None:
        positive(self.prior_precision, "prior_precision")

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return v r over v."""
        log = problem.log
        rows = np.column_stack([log.contexts.astype(np.float64), np.ones(len(log))])
        weights = np.zeros(len(log))
        for arm in np.unique(log.actions).tolist():
            own = log.actions == arm
            wanted = problem.row_weights * problem.probabilities[:, arm]
            if wanted.sum() > 0:
                weights[own] = np.exp(self._log_odds(rows, wanted, problem.row_weights * own)[own])
        note = "the weights were fitted, not logged: no figure here shows how wrong they may be"
        return replace(problem.terms(weights * log.rewards, weights, notes=(note,)), biased=_BIASED)

    def _log_odds(self, rows: Float64, wanted: Float64, logged: Float64) -> Float64:
        """Return (n,) float64 logits of the penalised logistic regression, by Newton's method with halved steps."""
        prior = np.full(rows.shape[1], self.prior_precision)
        prior[-1] *= 0.01  # as the intercept of CrossFittedRidge
        mass = wanted + logged

        def loss(of: Float64) -> float:
            logits = rows @ of
            return float((mass * np.logaddexp(0, logits) - wanted * logits).sum() + prior @ np.square(of) / 2)

        found = np.zeros(rows.shape[1])
        found[-1] = np.log(wanted.sum() / max(float(logged.sum()), 1e-300))
        best = loss(found)
        for _ in range(_N_NEWTON):
            share = 1 / (1 + np.exp(-np.clip(rows @ found, -_STEEPEST, _STEEPEST)))
            gradient = rows.T @ (mass * share - wanted) + prior * found
            curvature = (rows * (mass * share * (1 - share))[:, None]).T @ rows + np.diag(prior)
            step = np.linalg.solve(curvature, gradient)
            while (tried := loss(found - step)) > best and np.abs(step).max() > _ENOUGH:
                step /= 2
            found, gained, best = found - step, best - tried, min(best, tried)
            if gained <= _ENOUGH * max(1.0, abs(best)):
                break
        return np.clip(rows @ found, -_STEEPEST, _STEEPEST)
