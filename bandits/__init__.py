"""Contextual bandits on logged and full-information data: encoders, policies, data, evaluation.

Nothing here needs torch until `Reinforce` is fitted or `SentenceEncoder` encodes.
"""

from bandits.compare import compare
from bandits.comparison import Comparison, ComparisonRow, CurvePoint
from bandits.comparison_task import ComparisonSettings
from bandits.context_encoder import ContextEncoder
from bandits.data_frames import from_pandas, to_pandas
from bandits.data_stream import DataStream
from bandits.decision import Decision
from bandits.diagnostics import Diagnostics, diagnose
from bandits.environments import (
    DriftingEnvironment,
    Environment,
    FullInformationEnvironment,
    LinearEnvironment,
    NonLinearEnvironment,
    Situations,
    SupervisedEnvironment,
)
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
from bandits.logged_data import DeterministicLogWarning, LoggedData
from bandits.long_table import TableLayout, from_long_table
from bandits.off_policy_problem import OffPolicyProblem
from bandits.open_bandit import from_open_bandit, to_open_bandit
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
from bandits.propensity import arm_frequencies, estimate_propensities
from bandits.reward_model import ConstantReward, CrossFittedRidge, GivenPredictions, RewardModel
from bandits.seeds import SeedTree
from bandits.sentence_encoder import SentenceEncoder
from bandits.simulate import simulate
from bandits.simulation import Simulation
from bandits.splits import Split, folds_by_query, split_by_domain, split_by_query, split_by_time
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
    "Comparison",
    "ComparisonRow",
    "ComparisonSettings",
    "ConstantReward",
    "ContextEncoder",
    "CrossFittedRidge",
    "CurvePoint",
    "DataStream",
    "Decision",
    "DeltaMethod",
    "DeterministicLogWarning",
    "Diagnostics",
    "DirectMethod",
    "DoublyRobust",
    "DriftingEnvironment",
    "EmpiricalBernstein",
    "Environment",
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
    "Situations",
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
    "write_part",
]
