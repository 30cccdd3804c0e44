"""MRDR: the doubly robust estimator with a reward model fitted for little variance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bandits.checks import Float64
from bandits.off_policy.estimators.doubly_robust import DoublyRobust
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.reward_model import predicted
from bandits.off_policy.terms import LARGEST


@dataclass(frozen=True)
class MoreRobustDR(DoublyRobust):
    """The doubly robust estimator whose q is fitted with the weights pi_e(a given x) (1 - p) / p^2, p the propensity.

    Known as MRDR: a model that cannot be right everywhere is right where its errors cost variance. Unbiased as
    `DoublyRobust` is, whatever the model; better than it only where the model is too simple for the rewards.

    Args:
        reward_model: q, which must heed the weights of a log's rows.

    Source: Farajtabar, Chow and Ghavamzadeh 2018, More Robust Doubly Robust Off-policy Evaluation (arXiv:1802.03493),
        for an evaluated policy that is deterministic; for others with pi_e as a factor, as Open Bandit Pipeline does.
    """

    def _predictions(self, problem: OffPolicyProblem) -> Float64:
        log = problem.log
        # each row's own, not scaled by those of others, or a row would have a part in the model that predicts it
        importance = np.minimum(problem.weights * ((1 - log.propensities) / log.propensities), LARGEST)
        if (log.propensities == 1).all():  # no variance to fit for
            return super()._predictions(problem)
        return predicted(self.reward_model, replace(log, weights=problem.row_weights * importance))
