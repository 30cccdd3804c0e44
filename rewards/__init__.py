"""Rewards: the value put on the facts of one pull, and rewards made of rewards."""

from rewards.acceptance_length import AcceptanceLength
from rewards.relative_speed import RelativeSpeed
from rewards.reward import Reward, WeightedSum
from rewards.rouge_l import RougeL
from rewards.speedup import Speedup
from rewards.time_saved import TimeSaved

__all__ = ["AcceptanceLength", "RelativeSpeed", "Reward", "RougeL", "Speedup", "TimeSaved", "WeightedSum"]
