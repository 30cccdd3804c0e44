"""Rewards: the value put on the facts of one pull, and rewards made of rewards."""

from arms.front_door import front_door as _front_door
from rewards.acceptance_length import AcceptanceLength
from rewards.on_failure import OnFailure
from rewards.relative_speed import RelativeSpeed
from rewards.reward import FittedReward, Reward, WeightedSum
from rewards.rouge_l import RougeL
from rewards.seconds_per_token import SecondsPerToken
from rewards.speedup import Speedup
from rewards.time_saved import TimeSaved

# The names by which formulas, the command line and the contract tests know the built-in rewards.
REWARDS: dict[str, type[Reward]] = {
    "time_saved": TimeSaved,
    "speedup": Speedup,
    "relative_speed": RelativeSpeed,
    "seconds_per_token": SecondsPerToken,
    "acceptance_length": AcceptanceLength,
    "rouge_l": RougeL,
}

__all__ = [
    "REWARDS",
    "AcceptanceLength",
    "FittedReward",
    "OnFailure",
    "RelativeSpeed",
    "Reward",
    "RougeL",
    "SecondsPerToken",
    "Speedup",
    "TimeSaved",
    "WeightedSum",
]

__getattr__ = _front_door("rewards", {})
