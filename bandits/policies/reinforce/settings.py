"""What `Reinforce` maximises, and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Gradient = Literal["sampled", "exact"]


@dataclass(frozen=True, slots=True)
class AdamWSettings:
    """How fast and how long `Reinforce` trains.

    Attributes:
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        batch_size: rows a step; None takes a 64th of the training rows, at least 64 and at most 512.
        max_epochs: passes over the data at most.
        patience: passes without a better held-out value after which training stops.
        held_out_share: share of the queries kept aside to decide that; 0 trains for `max_epochs`.
        device: where to train: "cpu", "cuda", ...
    """

    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    batch_size: int | None = None
    max_epochs: int = 200
    patience: int = 20
    held_out_share: float = 0.2
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_epochs", "patience"):
            value = getattr(self, name)
            if name == "batch_size" and value is None:
                continue
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be an integer >= 1, got {value!r}")
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")
        if not 0 <= self.held_out_share < 1:
            raise ValueError(f"held_out_share must be in [0, 1), got {self.held_out_share!r}")


@dataclass(frozen=True, slots=True)
class ObjectiveSettings:
    """What is maximised; see `Reinforce` for the fields."""

    gradient: Gradient = "sampled"
    entropy_weight: float = 0.01
    weight_clip: float | None = 20.0
    self_normalise: bool = True

    def __post_init__(self) -> None:
        if self.gradient not in ("sampled", "exact"):
            raise ValueError(f'gradient must be "sampled" or "exact", got {self.gradient!r}')
        if not (np.isfinite(self.entropy_weight) and self.entropy_weight >= 0):
            raise ValueError(f"entropy_weight must be a finite number >= 0, got {self.entropy_weight!r}")
        if self.weight_clip is not None and not self.weight_clip > 0:
            raise ValueError(f"weight_clip must be > 0 or None, got {self.weight_clip!r}")
        if not isinstance(self.self_normalise, bool):
            raise TypeError(f"self_normalise must be True or False, got {self.self_normalise!r}")
