"""Estimators whose importance weights were made smaller: what they share, and why they have no interval."""

from __future__ import annotations

from dataclasses import replace

from bandits.checks import Float64
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Terms

_BIASED = "it would hold the mean of terms of smaller weights, which is not the policy's value; IPS and SNIPS have one"
_MODELLED = "none shows how wrong the reward model is where weights were made smaller; DoublyRobust has one"


def model_and_residuals(problem: OffPolicyProblem, predictions: Float64, weights: Float64) -> Terms:
    """Return the terms of the mean of sum_a pi_e(a given x) q(x, a) + weight (r - q(x, action)).

    Args:
        problem: the question.
        predictions: (n, k) float64, q.
        weights: (n,) float64, of the residuals: the importance weights, or what was made of them.
    """
    residuals = problem.log.rewards - predictions[problem.taken]
    return problem.terms(weights * residuals, offset=problem.expected(predictions), weights=weights)


def without_interval(terms: Terms, problem: OffPolicyProblem, weights: Float64, *, modelled: bool) -> Terms:
    """Return terms that say how much weight was taken away, and that an interval would not hold the truth.

    Args:
        terms: of smaller weights.
        problem: the question.
        weights: (n,) float64, the smaller weights.
        modelled: whether a reward model stands in for the weight that is missing.
    """
    lost = problem.mean(problem.weights - weights)
    rest = "the reward model stands alone there" if modelled else "the estimate is biased towards 0 by about that share"
    note = f"smaller weights take {lost:.3g} of about 1 from the mean weight: {rest}"
    notes = (*terms.notes, note) if lost > 0 else terms.notes
    return replace(terms, biased=_MODELLED if modelled else _BIASED, notes=notes)
