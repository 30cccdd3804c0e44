"""Rewards: the value put on the facts of one pull, and rewards made of rewards."""

from arms.front_door import front_door as _front_door
from rewards.acceptance_length import AcceptanceLength
from rewards.acceptance_rate import AcceptanceRate
from rewards.bleu import Bleu
from rewards.chrf import ChrF
from rewards.common_prefix import CommonPrefix
from rewards.distribution_overlap import DistributionOverlap
from rewards.exact_match import ExactMatch
from rewards.expected_acceptance_length import ExpectedAcceptanceLength
from rewards.gleu import Gleu
from rewards.on_failure import OnFailure
from rewards.price import Price
from rewards.relative_speed import RelativeSpeed
from rewards.reward import FittedReward, Reward, WeightedSum
from rewards.rouge_l import RougeL
from rewards.seconds_per_token import SecondsPerToken
from rewards.semantic_similarity import SemanticSimilarity
from rewards.speedup import Speedup
from rewards.text_agreement import TextAgreement
from rewards.time_saved import TimeSaved
from rewards.token_f1 import TokenF1
from rewards.tokens_per_second import TokensPerSecond
from rewards.weighted_average import WeightedAverage

# The names by which formulas, the command line and the contract tests know the built-in rewards.
REWARDS: dict[str, type[Reward]] = {
    "time_saved": TimeSaved,
    "speedup": Speedup,
    "relative_speed": RelativeSpeed,
    "seconds_per_token": SecondsPerToken,
    "tokens_per_second": TokensPerSecond,
    "price": Price,
    "acceptance_length": AcceptanceLength,
    "acceptance_rate": AcceptanceRate,
    "distribution_overlap": DistributionOverlap,
    "expected_acceptance_length": ExpectedAcceptanceLength,
    "rouge_l": RougeL,
    "gleu": Gleu,
    "bleu": Bleu,
    "chrf": ChrF,
    "token_f1": TokenF1,
    "exact_match": ExactMatch,
    "common_prefix": CommonPrefix,
    "semantic_similarity": SemanticSimilarity,
}

__all__ = [
    "REWARDS",
    "AcceptanceLength",
    "AcceptanceRate",
    "Bleu",
    "ChrF",
    "CommonPrefix",
    "DistributionOverlap",
    "ExactMatch",
    "ExpectedAcceptanceLength",
    "FittedReward",
    "Gleu",
    "OnFailure",
    "Price",
    "RelativeSpeed",
    "Reward",
    "RougeL",
    "SecondsPerToken",
    "SemanticSimilarity",
    "Speedup",
    "TextAgreement",
    "TimeSaved",
    "TokenF1",
    "TokensPerSecond",
    "WeightedAverage",
    "WeightedSum",
]

__getattr__ = _front_door("rewards", {})
