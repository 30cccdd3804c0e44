"""Contextual bandits on logged and full-information data: encoders, policies, data, evaluation.

Nothing here needs torch until `Reinforce` is fitted or `SentenceEncoder` encodes.
"""

from bandits.context_encoder import ContextEncoder
from bandits.decision import Decision
from bandits.evaluate import best_fixed_arm, evaluate
from bandits.evaluation import Estimate, Evaluation, EvaluationRow
from bandits.full_information_data import FullInformationData
from bandits.hashing_encoder import HashingEncoder
from bandits.logged_data import LoggedData
from bandits.parquet_parts import part_indices
from bandits.policies import AdamWSettings, BestFixedArm, EpsilonGreedy, LinTS, LinUCB, Reinforce, Uniform
from bandits.policy import Policy, PolicyState
from bandits.policy_data import PolicyData, write_part
from bandits.policy_file import load_policy
from bandits.prior_precision import choose_prior_precision
from bandits.sentence_encoder import SentenceEncoder

__all__ = [
    "AdamWSettings",
    "BestFixedArm",
    "ContextEncoder",
    "Decision",
    "EpsilonGreedy",
    "Estimate",
    "Evaluation",
    "EvaluationRow",
    "FullInformationData",
    "HashingEncoder",
    "LinTS",
    "LinUCB",
    "LoggedData",
    "Policy",
    "PolicyData",
    "PolicyState",
    "Reinforce",
    "SentenceEncoder",
    "Uniform",
    "best_fixed_arm",
    "choose_prior_precision",
    "evaluate",
    "load_policy",
    "part_indices",
    "write_part",
]
