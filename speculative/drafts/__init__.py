"""Drafts: one proposer a file, with the settings that a pool file may give it."""

from collections.abc import Mapping

from arms.plugin import read_spec
from speculative.drafts.draft_model import DraftModel
from speculative.drafts.early_exit import EarlyExit
from speculative.drafts.feature_head import FeatureHead
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.drafts.spec import DraftedTarget, DraftSpec
from speculative.drafts.stopping import StoppingDraft, StoppingSpec
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.protocols.draft import Draft, DraftAsk, DraftSession, Proposal, UnreadProposal
from speculative.protocols.shared_cache import SharedCache

DRAFTS: dict[str, type[Draft]] = {
    "no_draft": NoDraft,
    "prompt_lookup": PromptLookup,
    "suffix": SuffixDraft,
    "draft_model": DraftModel,
    "early_exit": EarlyExit,
    "feature_head": FeatureHead,
}
"""The kinds of drafts by the name that files and options use."""


def read_draft_spec(settings: DraftSpec | Mapping[str, object] | str) -> DraftSpec:
    """Return the checked settings of a draft: `arms.plugin.read_spec` for `DRAFTS`."""
    return read_spec(settings, DRAFTS, Draft, DraftSpec, "draft")


__all__ = [
    "DRAFTS",
    "Draft",
    "DraftAsk",
    "DraftModel",
    "DraftSession",
    "DraftSpec",
    "DraftedTarget",
    "EarlyExit",
    "FeatureHead",
    "NoDraft",
    "PromptLookup",
    "Proposal",
    "SharedCache",
    "StoppingDraft",
    "StoppingSpec",
    "SuffixDraft",
    "UnreadProposal",
    "read_draft_spec",
]
