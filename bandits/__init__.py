"""Contextual bandits on logged and full-information data: encoders, policies, data, evaluation.

Nothing here needs torch until `Reinforce` is fitted or `SentenceEncoder` encodes.
"""

from bandits.context_encoder import ContextEncoder
from bandits.decision import Decision
from bandits.diagnostics import Diagnostics, diagnose
from bandits.estimate import OffPolicyEstimate, estimate
from bandits.estimators import (
    IPS,
    SNIPS,
    ClippedIPS,
    DirectMethod,
    DoublyRobust,
    OffPolicyEstimator,
    RejectionReplay,
    SelfNormalisedDR,
)
from bandits.evaluate import best_fixed_arm, evaluate
from bandits.evaluation import Estimate, Evaluation, EvaluationRow
from bandits.full_information_data import FullInformationData
from bandits.hashing_encoder import HashingEncoder
from bandits.intervals import Bootstrap, DeltaMethod, EmpiricalBernstein, Interval, IntervalMethod
from bandits.logged_data import LoggedData
from bandits.off_policy_problem import OffPolicyProblem
from bandits.parquet_parts import part_indices
from bandits.policies import (
    KNN,
    UCB1,
    AdamWSettings,
    BestFixedArm,
    EpsilonGreedy,
    HybridLinUCB,
    LinTS,
    LinUCB,
    Reinforce,
    Softmax,
    SquareCB,
    Uniform,
)
from bandits.policy import Policy, PolicyState
from bandits.policy_data import PolicyData, write_part
from bandits.policy_file import load_policy
from bandits.prior_precision import choose_prior_precision
from bandits.reward_model import ConstantReward, CrossFittedRidge, GivenPredictions, RewardModel
from bandits.sentence_encoder import SentenceEncoder
from bandits.terms import Terms

__all__ = [
    "IPS",
    "KNN",
    "SNIPS",
    "UCB1",
    "AdamWSettings",
    "BestFixedArm",
    "Bootstrap",
    "ClippedIPS",
    "ConstantReward",
    "ContextEncoder",
    "CrossFittedRidge",
    "Decision",
    "DeltaMethod",
    "Diagnostics",
    "DirectMethod",
    "DoublyRobust",
    "EmpiricalBernstein",
    "EpsilonGreedy",
    "Estimate",
    "Evaluation",
    "EvaluationRow",
    "FullInformationData",
    "GivenPredictions",
    "HashingEncoder",
    "HybridLinUCB",
    "Interval",
    "IntervalMethod",
    "LinTS",
    "LinUCB",
    "LoggedData",
    "OffPolicyEstimate",
    "OffPolicyEstimator",
    "OffPolicyProblem",
    "Policy",
    "PolicyData",
    "PolicyState",
    "Reinforce",
    "RejectionReplay",
    "RewardModel",
    "SelfNormalisedDR",
    "SentenceEncoder",
    "Softmax",
    "SquareCB",
    "Terms",
    "Uniform",
    "best_fixed_arm",
    "choose_prior_precision",
    "diagnose",
    "estimate",
    "evaluate",
    "load_policy",
    "part_indices",
    "write_part",
]
