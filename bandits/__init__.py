"""Contextual bandits on logged and full-information data: encoders, policies, data, evaluation.

Nothing here needs torch until `Reinforce` is fitted or `SentenceEncoder` encodes.
"""

from arms.version import lazy_version
from bandits.data.decision import Decision
from bandits.data.full_information_data import FullInformationData
from bandits.data.io.long_table import TableLayout, from_long_table
from bandits.data.io.open_bandit import from_open_bandit, to_open_bandit
from bandits.data.io.pandas import from_pandas, to_pandas
from bandits.data.logged_data import DeterministicLogWarning, LoggedData
from bandits.data.parquet_parts import part_indices
from bandits.data.policy_data import DataStream, PolicyData
from bandits.data.propensity import arm_frequencies, estimate_propensities
from bandits.data.splits import Split, folds_by_query, split_by_domain, split_by_query, split_by_time
from bandits.encoders.encoder import ContextEncoder
from bandits.encoders.hashing import HashingEncoder
from bandits.encoders.sentence import SentenceEncoder
from bandits.evaluation.compare import compare
from bandits.evaluation.comparison import Comparison, ComparisonRow, CurvePoint
from bandits.evaluation.cross_validation import cross_validated
from bandits.evaluation.evaluate import evaluate
from bandits.evaluation.evaluation import Evaluation, EvaluationRow
from bandits.evaluation.objective import best_fixed_arm
from bandits.evaluation.settings import ComparisonSettings
from bandits.off_policy.diagnostics import Diagnostics, diagnose
from bandits.off_policy.estimate import OffPolicyEstimate, estimate
from bandits.off_policy.estimators import (
    IPS,
    SNIPS,
    ClippedIPS,
    DirectMethod,
    DoublyRobust,
    OffPolicyEstimator,
    RejectionReplay,
    SelfNormalisedDR,
)
from bandits.off_policy.intervals import BootstrapInterval, DeltaMethod, EmpiricalBernstein, Interval, IntervalMethod
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.reward_model import ConstantReward, CrossFittedRidge, GivenPredictions, RewardModel
from bandits.off_policy.terms import Terms
from bandits.online import Agent, DecisionLog, Learner
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
from bandits.policies.codec import load_policy
from bandits.policies.linear.prior_precision import choose_prior_precision
from bandits.policies.policy import Policy, PolicyState
from bandits.seeds import SeedTree
from bandits.simulation.environments import (
    DriftingEnvironment,
    Environment,
    EnvironmentBatch,
    FullInformationEnvironment,
    LinearEnvironment,
    NonLinearEnvironment,
    SupervisedEnvironment,
)
from bandits.simulation.simulate import simulate
from bandits.simulation.simulation import Simulation
from bandits.statistics.bootstrap import Bootstrap
from bandits.statistics.estimate import Estimate

__all__ = [
    "IPS",
    "KNN",
    "SNIPS",
    "UCB1",
    "AdamWSettings",
    "Agent",
    "BestFixedArm",
    "Bootstrap",
    "BootstrapInterval",
    "ClippedIPS",
    "Comparison",
    "ComparisonRow",
    "ComparisonSettings",
    "ConstantReward",
    "ContextEncoder",
    "CrossFittedRidge",
    "CurvePoint",
    "DataStream",
    "Decision",
    "DecisionLog",
    "DeltaMethod",
    "DeterministicLogWarning",
    "Diagnostics",
    "DirectMethod",
    "DoublyRobust",
    "DriftingEnvironment",
    "EmpiricalBernstein",
    "Environment",
    "EnvironmentBatch",
    "EpsilonGreedy",
    "Estimate",
    "Evaluation",
    "EvaluationRow",
    "FullInformationData",
    "FullInformationEnvironment",
    "GivenPredictions",
    "HashingEncoder",
    "HybridLinUCB",
    "Interval",
    "IntervalMethod",
    "Learner",
    "LinTS",
    "LinUCB",
    "LinearEnvironment",
    "LoggedData",
    "NonLinearEnvironment",
    "OffPolicyEstimate",
    "OffPolicyEstimator",
    "OffPolicyProblem",
    "Policy",
    "PolicyData",
    "PolicyState",
    "Reinforce",
    "RejectionReplay",
    "RewardModel",
    "SeedTree",
    "SelfNormalisedDR",
    "SentenceEncoder",
    "Simulation",
    "Softmax",
    "Split",
    "SquareCB",
    "SupervisedEnvironment",
    "TableLayout",
    "Terms",
    "Uniform",
    "arm_frequencies",
    "best_fixed_arm",
    "choose_prior_precision",
    "compare",
    "cross_validated",
    "diagnose",
    "estimate",
    "estimate_propensities",
    "evaluate",
    "folds_by_query",
    "from_long_table",
    "from_open_bandit",
    "from_pandas",
    "load_policy",
    "part_indices",
    "simulate",
    "split_by_domain",
    "split_by_query",
    "split_by_time",
    "to_open_bandit",
    "to_pandas",
]


def __getattr__(name: str) -> str:
    return lazy_version(name)
