"""What is known of a request before a round, and which fixed arm a rule makes of it."""

from collections.abc import Sequence

from speculative.engine.active_request import Running
from speculative.engine.drafting import Drafting
from speculative.protocols.draft import DraftingArm
from speculative.protocols.drafting_rule import DraftingRule, EngineArm
from speculative.protocols.selector import RoundContext


def round_context(state: Running, arms: Sequence[EngineArm], n_running: int) -> RoundContext:
    """Say what a selector may know.

    Args:
        state: the request.
        arms: what can be chosen; a rule can be while one of its arms can, and looks nothing up itself.
        n_running: requests that share the step.
    """
    drafting, n_tokens = state.drafting, len(state.tokens)

    def match_length(action: int) -> int | None:
        arm = arms[action]
        return None if isinstance(arm, DraftingRule) else drafting.match_length(arm.draft, state.tokens)

    return RoundContext(
        state.request.id,
        state.stats.n_prompt,
        state.stats.n_new,
        tuple([_can_use(drafting, arm, n_tokens) for arm in arms]),
        state.request.sampling.temperature,
        n_running,
        match_length,
        state.certainty,
    )


def _can_use(drafting: Drafting, arm: EngineArm, n_tokens: int) -> bool:
    if isinstance(arm, DraftingRule):
        return any(drafting.can_use(fixed.draft, n_tokens) for fixed in arm.arms)
    return drafting.can_use(arm.draft, n_tokens)


def arm_of_round(state: Running, arm: EngineArm, n_running: int) -> DraftingArm:
    """Return the fixed arm that drafts: the arm itself, or the one that its rule takes now.

    Raises:
        ValueError: if the rule takes an arm that it has not.
    """
    if not isinstance(arm, DraftingRule):
        return arm
    action = arm.choose(round_context(state, arm.arms, n_running))
    if not 0 <= action < len(arm.arms):
        raise ValueError(f"arm {arm.name!r}: the rule must choose an arm in [0, {len(arm.arms)}), got {action}")
    return arm.arms[action]
