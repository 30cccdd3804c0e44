"""What `Reinforce` maximises, and how it is trained."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from bandits.checks import at_least, not_negative, positive, share

Gradient = Literal["sampled", "exact"]


@dataclass(frozen=True, slots=True, kw_only=True)
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
            if not (name == "batch_size" and value is None):
                object.__setattr__(self, name, at_least(value, 1, name))
        for name in ("learning_rate", "weight_decay"):
            object.__setattr__(self, name, not_negative(getattr(self, name), name))
        if not (isinstance(self.device, str) and self.device.strip()):
            raise ValueError(f'device must name where to train, such as "cpu" or "cuda", got {self.device!r}')
        held_out = 0.0 if self.held_out_share == 0 else share(self.held_out_share, "held_out_share")
        object.__setattr__(self, "held_out_share", held_out)


@dataclass(frozen=True, slots=True)
class ObjectiveSettings:
    """What `Reinforce` maximises, and by which gradient.

    Attributes:
        gradient: "sampled" is REINFORCE; "exact" is for comparison and needs full information.
        entropy_weight: >= 0, in units of the advantages' standard deviation.
        weight_clip: largest importance weight; None does not clip.
        self_normalise: divide importance weights by their mean: less variance, a little bias.
    """

    gradient: Gradient = "sampled"
    _: KW_ONLY
    entropy_weight: float = 0.01
    weight_clip: float | None = 20.0
    self_normalise: bool = True

    def __post_init__(self) -> None:
        if self.gradient not in ("sampled", "exact"):
            raise ValueError(f'gradient must be "sampled" or "exact", got {self.gradient!r}')
        object.__setattr__(self, "entropy_weight", not_negative(self.entropy_weight, "entropy_weight"))
        if self.weight_clip is not None:
            object.__setattr__(self, "weight_clip", positive(self.weight_clip, "weight_clip"))
        if not isinstance(self.self_normalise, bool):
            raise TypeError(f"self_normalise must be True or False, got {self.self_normalise!r}")
