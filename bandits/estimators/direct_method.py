"""The direct method: trust a model of the reward."""

from __future__ import annotations

from dataclasses import dataclass, field

from bandits.estimators.estimator import OffPolicyEstimator
from bandits.off_policy_problem import OffPolicyProblem
from bandits.reward_model import CrossFittedRidge, RewardModel
from bandits.terms import Terms


@dataclass(frozen=True)
class DirectMethod(OffPolicyEstimator):
    """Mean of sum_a pi_e(a given x) q(x, a), with q a model of the reward.

    Little noise, and the model's bias in full: its intervals show the noise of the contexts only, which each
    estimate says.

    Args:
        reward_model: q.

    Source: Dudik, Langford and Li 2011, Doubly Robust Policy Evaluation and Learning, section 2.1 (arXiv:1103.4601).
    """

    reward_model: RewardModel = field(default_factory=CrossFittedRidge)

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return the policy's expected predictions."""
        expected = problem.expected(problem.predictions(self.reward_model))
        note = "the interval shows the noise of the contexts only: it leaves out how wrong the reward model may be"
        return problem.terms(expected, range=self.reward_model.range, notes=(note,))
