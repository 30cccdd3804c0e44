"""Lossless speculative decoding with a learned choice of draft: models, engine, drafts, selectors.

Names are imported when first asked for, so that `import speculative` needs no torch.
"""

from typing import TYPE_CHECKING

from arms.front_door import front_door as _front_door

if TYPE_CHECKING:
    from speculative.collection.arm_plan import ArmPlan
    from speculative.collection.collect import collect
    from speculative.collection.replay import replay
    from speculative.collection.settings import CollectSettings
    from speculative.drafts.draft_model import DraftModel
    from speculative.drafts.early_exit import EarlyExit
    from speculative.drafts.feature_head import FeatureHead
    from speculative.drafts.no_draft import NoDraft
    from speculative.drafts.prompt_lookup import PromptLookup
    from speculative.drafts.spec import DraftSpec
    from speculative.drafts.suffix.draft import SuffixDraft
    from speculative.engine.engine import Engine
    from speculative.engine.generate import generate, stream
    from speculative.engine.settings import EngineSettings
    from speculative.measuring.cost_profile import CostProfile
    from speculative.models.settings import ModelSettings
    from speculative.pools.pool import Pool
    from speculative.protocols.draft import Draft, DraftSession, Proposal
    from speculative.protocols.request import Request
    from speculative.protocols.selector import Selector
    from speculative.sampling.logits_processor import LogitsProcessor
    from speculative.sampling.sampling_params import SamplingParams
    from speculative.selectors.fixed import FixedSelector
    from speculative.selectors.policy_selector import PolicySelector
    from speculative.selectors.priority_rule import PriorityRule
    from speculative.targets.hidden_state_encoder import HiddenStateEncoder
    from speculative.targets.rendering import Rendering
    from speculative.targets.rule_arm import RuleArm
    from speculative.targets.speculative_arm import SpeculativeArm
    from speculative.targets.target import Target
    from speculative.targets.transformers_arm import TransformersArm

_HOMES = {
    "ArmPlan": "collection.arm_plan",
    "CollectSettings": "collection.settings",
    "CostProfile": "measuring.cost_profile",
    "Draft": "protocols.draft",
    "DraftModel": "drafts.draft_model",
    "DraftSession": "protocols.draft",
    "DraftSpec": "drafts.spec",
    "EarlyExit": "drafts.early_exit",
    "Engine": "engine.engine",
    "EngineSettings": "engine.settings",
    "FeatureHead": "drafts.feature_head",
    "FixedSelector": "selectors.fixed",
    "HiddenStateEncoder": "targets.hidden_state_encoder",
    "LogitsProcessor": "sampling.logits_processor",
    "ModelSettings": "models.settings",
    "NoDraft": "drafts.no_draft",
    "PolicySelector": "selectors.policy_selector",
    "Pool": "pools.pool",
    "PriorityRule": "selectors.priority_rule",
    "PromptLookup": "drafts.prompt_lookup",
    "Proposal": "protocols.draft",
    "Rendering": "targets.rendering",
    "Request": "protocols.request",
    "RuleArm": "targets.rule_arm",
    "SamplingParams": "sampling.sampling_params",
    "Selector": "protocols.selector",
    "SpeculativeArm": "targets.speculative_arm",
    "SuffixDraft": "drafts.suffix.draft",
    "Target": "targets.target",
    "TransformersArm": "targets.transformers_arm",
    "collect": "collection.collect",
    "generate": "engine.generate",
    "replay": "collection.replay",
    "stream": "engine.generate",
}

__all__ = [
    "ArmPlan",
    "CollectSettings",
    "CostProfile",
    "Draft",
    "DraftModel",
    "DraftSession",
    "DraftSpec",
    "EarlyExit",
    "Engine",
    "EngineSettings",
    "FeatureHead",
    "FixedSelector",
    "HiddenStateEncoder",
    "LogitsProcessor",
    "ModelSettings",
    "NoDraft",
    "PolicySelector",
    "Pool",
    "PriorityRule",
    "PromptLookup",
    "Proposal",
    "Rendering",
    "Request",
    "RuleArm",
    "SamplingParams",
    "Selector",
    "SpeculativeArm",
    "SuffixDraft",
    "Target",
    "TransformersArm",
    "collect",
    "generate",
    "replay",
    "stream",
]

__getattr__ = _front_door("speculative", _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
