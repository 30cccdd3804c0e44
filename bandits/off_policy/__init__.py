"""What a policy is worth on another policy's log: problem, estimators, intervals, diagnostics."""

from bandits.off_policy.anytime import Anytime
from bandits.off_policy.by_segment import SegmentEstimates, estimate_by_segment
from bandits.off_policy.confidence_sequence import LowerConfidenceSequence, lower_confidence_sequence
from bandits.off_policy.diagnostics import Diagnostics, diagnose
from bandits.off_policy.estimate import OffPolicyEstimate, OffPolicyEstimates, estimate_problem
from bandits.off_policy.intervals import BootstrapInterval, DeltaMethod, EmpiricalBernstein, Interval, IntervalMethod
from bandits.off_policy.named import INTERVALS, REWARD_MODELS, make_interval, make_reward_model
from bandits.off_policy.problem import Bounds, OffPolicyProblem
from bandits.off_policy.refitted_bootstrap import RefittedBootstrap
from bandits.off_policy.regression_model import CrossFittedRegression
from bandits.off_policy.reward_model import ConstantReward, CrossFittedRidge, GivenPredictions, RewardModel
from bandits.off_policy.several_logs import mixture_log
from bandits.off_policy.terms import Terms, TermSums

__all__ = [
    "INTERVALS",
    "REWARD_MODELS",
    "Anytime",
    "BootstrapInterval",
    "Bounds",
    "ConstantReward",
    "CrossFittedRegression",
    "CrossFittedRidge",
    "DeltaMethod",
    "Diagnostics",
    "EmpiricalBernstein",
    "GivenPredictions",
    "Interval",
    "IntervalMethod",
    "LowerConfidenceSequence",
    "OffPolicyEstimate",
    "OffPolicyEstimates",
    "OffPolicyProblem",
    "RefittedBootstrap",
    "RewardModel",
    "SegmentEstimates",
    "TermSums",
    "Terms",
    "diagnose",
    "estimate_by_segment",
    "estimate_problem",
    "lower_confidence_sequence",
    "make_interval",
    "make_reward_model",
    "mixture_log",
]
