"""What `draft`, `draft_length` and `policy` mean where a person types them: the engine's arms and its selector."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from arms.checks import at_least
from bandits import Policy
from speculative.drafts import NoDraft, read_draft_spec
from speculative.protocols.draft import Draft, DraftingArm
from speculative.protocols.drafting_rule import DraftingRule, EngineArm
from speculative.protocols.selector import Selector
from speculative.selectors.policy_selector import PolicySelector
from speculative.targets.hidden_state_encoder import HiddenStateEncoder, LoadedTarget

Drafting = Draft | str | Collection[EngineArm]
"""Who may draft: one draft, the name of one, or the arms among which a policy chooses."""
DRAFT_LENGTH = 5  # draft tokens a round, where a draft is named without a length


@dataclass(frozen=True, slots=True)
class _OneDraft:
    """The one arm of a target that is helped by one draft."""

    name: str
    draft: Draft
    draft_length: int


def arms_and_selector(
    target: LoadedTarget,
    draft: Drafting | None,
    draft_length: int | None,
    policy: Policy | Selector | None,
    seed: int = 0,
) -> tuple[Collection[EngineArm], Selector | None]:
    """Return the arms of a call and who chooses among them; None where there is one arm.

    Args:
        target: whose text is written.
        draft: a draft, a name of `DRAFTS` that needs no settings, or the arms that the policy chooses among; None for
            the target alone.
        draft_length: most tokens that one draft proposes a round; 5 by default.
        policy: fitted on the target's own hidden states, or a selector, which brings what it chooses by.
        seed: of the policy's choice.

    Raises:
        TypeError: if `draft` or `policy` is none of these.
        ValueError: if arms come without a policy or a policy without arms, the draft has no such name, the length does
            not fit, or the policy learned from other arms or contexts.
    """
    if draft is None or isinstance(draft, Draft | str):
        if policy is not None:
            raise ValueError(f"a policy chooses among arms: pass draft=[SpeculativeArm(...), ...], got draft={draft!r}")
        return [_one_draft(target, draft, draft_length)], None
    arms = _checked(draft, draft_length)
    if policy is None:
        raise ValueError(f"draft= holds {len(arms)} arms: pass policy= to choose among them, or one draft")
    if isinstance(policy, Selector):
        return arms, policy
    if not isinstance(policy, Policy):
        raise TypeError(f"policy must be a Policy or a Selector, got {policy!r}")
    encoder = HiddenStateEncoder(target)
    learned_from = None if policy.state is None else policy.state.encoder
    if learned_from not in (None, encoder.name):
        raise ValueError(
            f"the policy learned from encoder {learned_from!r}, not from {encoder.name!r}: pass "
            "policy=PolicySelector(policy, encoder, arm_names, rng), or make a Pool with that encoder"
        )
    names = [arm.name for arm in arms]
    return arms, PolicySelector(policy, encoder, names, np.random.default_rng(seed))


def _one_draft(target: LoadedTarget, draft: Draft | str | None, draft_length: int | None) -> DraftingArm:
    if draft is None:
        draft = NoDraft()
    elif isinstance(draft, str):
        draft = read_draft_spec(draft).build(target)
    if draft_length is None:
        draft_length = 0 if isinstance(draft, NoDraft) else DRAFT_LENGTH
    if isinstance(draft, NoDraft) != (at_least(draft_length, 0, "draft_length") == 0):
        raise ValueError(f"draft_length must be >= 1 with a draft and not given without, got {draft_length}")
    return _OneDraft(draft.name, draft, draft_length)


def _checked(arms: Collection[EngineArm], draft_length: int | None) -> Collection[EngineArm]:
    if not isinstance(arms, Collection) or not all(
        isinstance(arm, DraftingRule) or isinstance(getattr(arm, "draft", None), Draft) for arm in arms
    ):
        raise TypeError(f"draft must be a draft, the name of one, or SpeculativeArms to choose among, got {arms!r}")
    if draft_length is not None:
        raise ValueError(f"draft_length goes with one draft; each arm has its own, got {draft_length}")
    return arms
