"""What look-ups would have done on an answer that any arm helped: told from its tokens alone, without a model."""

from collections.abc import Iterable, Sequence

import numpy as np

from speculative.collection.answer_tokens import AnswerTokens
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import Replayer
from speculative.collection.trace import Trace, trace_draft
from speculative.drafts.no_draft import NoDraft
from speculative.measuring.cost_profile import CostProfile
from speculative.protocols.draft import Draft
from speculative.targets.rule_arm import PoolArm


def replayable_arms(arms: Iterable[PoolArm]) -> list[PoolArm]:
    """Return the arms that draft nothing, or look everything up in the answer itself: what they do, its tokens tell.

    A look-up that learns from answers is not among them: it may have learned from this one.
    """
    return [arm for arm in arms if all(isinstance(draft, NoDraft) or _looks_up(draft) for draft in arm.drafts)]


def _looks_up(draft: Draft) -> bool:
    is_fixed = draft.proposal_kind == "deterministic" and draft.max_match_length > 0
    return is_fixed and not getattr(draft, "learn", False)


def replay_look_ups(arms: Sequence[PoolArm], answer: AnswerTokens, costs: CostProfile) -> dict[str, float]:
    """Return the seconds that an answer would have taken with each arm, by name, as `replay` models them.

    A draft that is a function of the text gets a token accepted where it says what the target wrote, whatever helped to
    write it, and so for sampled answers too, as long as they are verified by coupling.

    Args:
        arms: of `replayable_arms`.
        answer: the target's.
        costs: of the arms' drafts.

    Raises:
        ValueError: if the profile lacks one of the drafts.
    """
    longest = max(1, *(arm.draft_length for arm in arms))
    drafts = {draft.name: draft for arm in arms for draft in arm.drafts if not isinstance(draft, NoDraft)}
    traces = {name: trace_draft(draft, answer.prompt_ids, answer.new_ids, longest) for name, draft in drafts.items()}
    nothing = np.zeros(0, dtype=np.float32)
    trace = Trace(
        query_id="",
        domain=None,
        prompt_ids=answer.prompt_ids,
        new_ids=answer.new_ids,
        max_new_tokens=answer.max_new_tokens,
        max_draft_length=longest,
        context=nothing,
        encode_s=0.0,
        drafts=traces,
    )
    replayer = Replayer(trace, costs)
    return {arm.name: replayer.play(ArmPlan.of(arm)).seconds for arm in arms}
