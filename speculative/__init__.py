"""Lossless speculative decoding with a learned choice of draft: models, engine, drafts, selectors.

These are the names that most programs need. What those who extend or study it need besides is in the rooms:
`speculative.drafts`, `speculative.selectors`, `speculative.sampling`, `speculative.targets`, `speculative.engine`,
`speculative.models`, `speculative.collection`, `speculative.rounds`, `speculative.explaining`, `speculative.serving`,
`speculative.testing`. Names are imported when first asked for, so that `import speculative` needs no torch.
"""

from typing import TYPE_CHECKING

from arms.front_door import front_door as _front_door

if TYPE_CHECKING:
    from speculative.collection.collect import collect
    from speculative.collection.replay import replay
    from speculative.drafts.draft_model import DraftModel
    from speculative.drafts.early_exit import EarlyExit
    from speculative.drafts.feature_head import FeatureHead
    from speculative.drafts.no_draft import NoDraft
    from speculative.drafts.prompt_lookup import PromptLookup
    from speculative.drafts.suffix.draft import SuffixDraft
    from speculative.engine.engine import Engine
    from speculative.engine.generate import generate, stream
    from speculative.measuring.cost_profile import CostProfile
    from speculative.pools.pool import Pool
    from speculative.protocols.draft import Draft, DraftSession, Proposal
    from speculative.protocols.selector import Selector
    from speculative.sampling.sampling_params import SamplingParams
    from speculative.selectors.policy_selector import PolicySelector
    from speculative.targets.rendering import Rendering
    from speculative.targets.speculative_arm import SpeculativeArm
    from speculative.targets.target import Target

_HOMES = {
    "CostProfile": "measuring.cost_profile",
    "Draft": "protocols.draft",
    "DraftModel": "drafts.draft_model",
    "DraftSession": "protocols.draft",
    "EarlyExit": "drafts.early_exit",
    "Engine": "engine.engine",
    "FeatureHead": "drafts.feature_head",
    "NoDraft": "drafts.no_draft",
    "PolicySelector": "selectors.policy_selector",
    "Pool": "pools.pool",
    "PromptLookup": "drafts.prompt_lookup",
    "Proposal": "protocols.draft",
    "Rendering": "targets.rendering",
    "SamplingParams": "sampling.sampling_params",
    "Selector": "protocols.selector",
    "SpeculativeArm": "targets.speculative_arm",
    "SuffixDraft": "drafts.suffix.draft",
    "Target": "targets.target",
    "collect": "collection.collect",
    "generate": "engine.generate",
    "replay": "collection.replay",
    "stream": "engine.generate",
}

__all__ = [
    "CostProfile",
    "Draft",
    "DraftModel",
    "DraftSession",
    "EarlyExit",
    "Engine",
    "FeatureHead",
    "NoDraft",
    "PolicySelector",
    "Pool",
    "PromptLookup",
    "Proposal",
    "Rendering",
    "SamplingParams",
    "Selector",
    "SpeculativeArm",
    "SuffixDraft",
    "Target",
    "collect",
    "generate",
    "replay",
    "stream",
]

__getattr__ = _front_door("speculative", _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
