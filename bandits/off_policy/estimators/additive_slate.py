"""Slates: several slots filled at once, one reward for the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Terms


@dataclass(frozen=True)
class AdditiveSlate(OffPolicyEstimator):
    """Mean over slates of r (sum over slots of w - slots + 1): the pseudo-inverse estimator of independent slots.

    A slate is a query and its rows are the slots: each row has the slot's arm and its propensity, and all rows of a
    query the slate's reward. Unbiased where the slots are drawn independently, given the context, and the mean reward
    is a sum of parts, one a slot, that nobody needs to know. Weights of whole slates, the product of those of
    slots, are never formed. A log without query ids has slates of one slot, and this is `IPS`.

    Where each slot has a reward of its own, `IPS` on the rows is the estimate of its mean over slots.

    Source: Swaminathan et al. 2017, Off-policy evaluation for slate recommendation (arXiv:1605.04812); for independent
        slots the pseudo-inverse has this form.
    """

    by_batch: ClassVar[bool] = False

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return each slot's part of its slate's term.

        Raises:
            ValueError: if rows of one query differ in reward or weight.
        """
        rewards, queries = problem.log.rewards, problem.queries
        first = np.unique(queries, return_index=True)[1][queries]
        other = rewards != rewards[first]
        if other.any():
            row = int(np.argmax(other))
            raise ValueError(
                f"AdditiveSlate needs the slate's reward on each of its rows: row {row} has {rewards[row]:g} where its "
                f"query began with {rewards[first[row]]:g}; for rewards of slots, use IPS"
            )
        if (problem.row_weights != problem.row_weights[first]).any():
            raise ValueError("AdditiveSlate counts whole slates: all rows of a query must have one weight")
        slots = np.bincount(queries)[queries].astype(np.float64)
        if np.ptp(slots) == 0:
            return problem.terms(rewards * (slots * problem.weights - slots + 1))
        terms = problem.terms(rewards * (problem.weights - 1 + 1 / slots), 1 / slots)
        return replace(terms, lacking=0.0)  # the denominators are shares of slates, not weights whose mean is 1
