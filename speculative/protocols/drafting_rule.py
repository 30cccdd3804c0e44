"""An arm that is a rule: which of several fixed arms drafts is decided anew in every round."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

import torch

from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.draft import DraftingArm
from speculative.protocols.selector import RoundContext


class DraftingRule(ABC):
    """What the engine needs of a rule: the fixed arms that it may take, and which of them it takes in a round.

    Attributes:
        name: the arm's.
        arms: the fixed arms.
        draft_length: the longest of theirs.
    """

    name: str
    arms: Sequence[DraftingArm]
    draft_length: int

    @abstractmethod
    def choose(self, round_: RoundContext) -> int:
        """Return the index among `arms` of the one that drafts; a function of the round alone.

        Args:
            round_: availability and match lengths are those of `arms`.
        """


EngineArm = DraftingArm | DraftingRule
"""What a selector chooses from: a draft with a draft length, or a rule over such."""


def check_arms(arms: Collection[EngineArm], target: CausalLM) -> None:
    """Refuse arms that a target cannot be drafted by.

    Raises:
        TypeError: if a draft length is no int.
        ValueError: if there is none, a draft length is out of range, one drafts for a target that cannot roll back, or
            by a model on another device.
    """
    if not arms:
        raise ValueError("an engine needs at least one arm; use NoDraft() for plain decoding")
    for arm in arms:
        if type(arm.draft_length) is not int:
            raise TypeError(f"arm {arm.name!r}: draft_length must be an int >= 0, got {arm.draft_length!r}")
        if arm.draft_length < 0:
            raise ValueError(f"arm {arm.name!r}: draft_length must be >= 0, got {arm.draft_length}")
        if arm.draft_length and not target.can_roll_back:
            reason = getattr(target, "rollback_refusal", None) or "its cache only grows"
            raise ValueError(
                f"arm {arm.name!r} drafts, but this target cannot take tokens back: {reason}; use no draft with it"
            )
        if arm.draft_length >= target.max_positions:
            raise ValueError(
                f"arm {arm.name!r}: draft_length must be below the target's context of {target.max_positions} tokens, "
                f"got {arm.draft_length}"
            )
        for fixed in arm.arms if isinstance(arm, DraftingRule) else [arm]:
            device = fixed.draft.device
            if device is not None and _place(device) != _place(target.device):
                raise ValueError(
                    f"arm {fixed.name!r}: its draft must be on the target's device, {target.device}, got {device}; "
                    "load both on one"
                )


def _place(device: torch.device) -> tuple[str, int]:
    """Return kind and number of a device; one without a number is taken for the first."""
    return device.type, device.index or 0
