"""A choice at every round: what is known before it, models that choose by it, and their worth on traced texts."""

from speculative.rounds.acceptance_model import AcceptanceModel, AcceptedCounts
from speculative.rounds.baselines import ArmPerQuery, Baselines
from speculative.rounds.clairvoyant import clairvoyant_s
from speculative.rounds.collected import CollectedRounds
from speculative.rounds.evaluation import MakeSelector, RoundEvaluation, evaluate_rounds, evaluate_rounds_on
from speculative.rounds.gated_selector import GatedSelector, fit_gated_selector, gated, saved_arms, saved_target
from speculative.rounds.hybrid_verified import HybridVerified
from speculative.rounds.playing import play
from speculative.rounds.prompt_features import PromptFeatures
from speculative.rounds.query_gate import QueryGate
from speculative.rounds.record import RECORD_VERSION, RecordKeeper, RecordLayout, RoundRecord
from speculative.rounds.round_policy import RoundPolicySelector
from speculative.rounds.round_selector import RoundSelector
from speculative.rounds.speed_selector import SpeedSelector
from speculative.rounds.training import TrainingSettings, fit_speed_selector, layout_of, played_s, round_data, tuned
from speculative.rounds.visited import RandomRounds, Visit, accepted_counts, visits

__all__ = [
    "RECORD_VERSION",
    "AcceptanceModel",
    "AcceptedCounts",
    "ArmPerQuery",
    "Baselines",
    "CollectedRounds",
    "GatedSelector",
    "HybridVerified",
    "MakeSelector",
    "PromptFeatures",
    "QueryGate",
    "RandomRounds",
    "RecordKeeper",
    "RecordLayout",
    "RoundEvaluation",
    "RoundPolicySelector",
    "RoundRecord",
    "RoundSelector",
    "SpeedSelector",
    "TrainingSettings",
    "Visit",
    "accepted_counts",
    "clairvoyant_s",
    "evaluate_rounds",
    "evaluate_rounds_on",
    "fit_gated_selector",
    "fit_speed_selector",
    "gated",
    "layout_of",
    "play",
    "played_s",
    "round_data",
    "saved_arms",
    "saved_target",
    "tuned",
    "visits",
]
