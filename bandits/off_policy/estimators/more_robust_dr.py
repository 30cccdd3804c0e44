"""MRDR: the doubly robust estimator with a reward model fitted for little variance."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from bandits.off_policy.estimators.doubly_robust import DoublyRobust
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.reward_model import CrossFittedRidge, GivenPredictions, RewardModel, check_reward_model
from bandits.off_policy.terms import LARGEST, Terms


@dataclass(frozen=True)
class MoreRobustDR(OffPolicyEstimator):
    """The doubly robust estimator whose q is fitted with the weights pi_e(a given x) (1 - p) / p^2, p the propensity.

    Known as MRDR: a model that cannot be right everywhere is right where its errors cost variance. Unbiased as
    `DoublyRobust` is, whatever the model; better than it only where the model is too simple for the rewards.

    Args:
        reward_model: q, which must heed the weights of a log's rows.

    Source: Farajtabar, Chow and Ghavamzadeh 2018, More Robust Doubly Robust Off-policy Evaluation (arXiv:1802.03493).
    """

    reward_model: RewardModel = field(default_factory=CrossFittedRidge)

    def __post_init__(self) -> None:
        check_reward_model(self.reward_model)

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return the terms of `DoublyRobust` with that model."""
        log = problem.log
        # each row's own, not scaled by those of others, or a row would have a part in the model that predicts it
        importance = np.minimum(problem.weights * ((1 - log.propensities) / log.propensities), LARGEST)
        if (log.propensities == 1).all():  # no variance to fit for
            return DoublyRobust(self.reward_model).terms(problem)
        weighted = replace(log, weights=problem.row_weights * importance)
        return DoublyRobust(GivenPredictions(self.reward_model.predict(weighted))).terms(problem)
