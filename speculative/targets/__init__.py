"""The large model whose text is kept, with its tokenizer, and the arm that answers with it and one draft."""

from typing import TYPE_CHECKING

from arms.front_door import front_door as _front_door

if TYPE_CHECKING:
    from speculative.targets.hidden_state_encoder import HiddenStateEncoder
    from speculative.targets.rule_arm import RuleArm
    from speculative.targets.transformers_arm import TransformersArm

_HOMES = {
    "HiddenStateEncoder": "hidden_state_encoder",
    "RuleArm": "rule_arm",
    "TransformersArm": "transformers_arm",
}

__all__ = ["HiddenStateEncoder", "RuleArm", "TransformersArm"]

__getattr__ = _front_door("speculative.targets", _HOMES)
