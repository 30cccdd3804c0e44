"""What is known of a request before a round, and which fixed arm a rule makes of it."""

from __future__ import annotations

from collections.abc import Sequence

from speculative.engine.active_request import Running
from speculative.protocols.draft import DraftingArm
from speculative.protocols.drafting_rule import DraftingRule, EngineArm
from speculative.protocols.selector import RoundContext, Selector


class ArmTable:
    """An engine's arms, with fixed ones and rules told apart once instead of in every round.

    Attributes:
        fixed: each arm that is no rule; None for a rule.
        rules: each rule, with the table of its own arms; None for a fixed arm.
        drafts: of each arm, the drafts that it may use.
        all_drafts: each of these once.
    """

    __slots__ = ("all_drafts", "drafts", "fixed", "rules")

    def __init__(self, arms: Sequence[EngineArm]) -> None:
        self.fixed = [None if isinstance(arm, DraftingRule) else arm for arm in arms]
        self.rules = [(arm, ArmTable(arm.arms)) if isinstance(arm, DraftingRule) else None for arm in arms]
        self.drafts = [
            [fixed.draft for fixed in arm.arms] if isinstance(arm, DraftingRule) else [arm.draft] for arm in arms
        ]
        self.all_drafts = list({id(draft): draft for drafts in self.drafts for draft in drafts}.values())


def round_context(state: Running, table: ArmTable, n_running: int) -> RoundContext:
    """Say what a selector may know.

    Args:
        state: the request.
        table: of what can be chosen; a rule can be while one of its arms can, and looks nothing up itself.
        n_running: requests that share the step.
    """
    drafting, n_tokens, stats, request = state.drafting, len(state.tokens), state.stats, state.request

    def match_length(action: int) -> int | None:
        arm = table.fixed[action]
        return None if arm is None else drafting.match_length(arm.draft, state.tokens)

    can_use = drafting.can_use
    available = [
        can_use(drafts[0], n_tokens) if len(drafts) == 1 else any(can_use(draft, n_tokens) for draft in drafts)
        for drafts in table.drafts
    ]
    return RoundContext(
        request.id,
        stats.n_prompt,
        stats.n_new,
        tuple(available),
        request.sampling.temperature,
        n_running,
        match_length,
        state.certainty,
    )


def choose_arms(selector: Selector | None, states: Sequence[Running], table: ArmTable) -> list[int]:
    """Return one arm a request, as the selector would have it; the first one without a selector.

    Raises:
        ValueError: if it does not choose once a request, or an arm that there is not.
    """
    if selector is None:
        return [0] * len(states)
    actions = list(selector.select([round_context(state, table, len(states)) for state in states]))
    if len(actions) != len(states):
        raise ValueError(f"the selector must make {len(states)} choices, one a request, got {len(actions)}")
    for action in actions:
        if not 0 <= action < len(table.fixed):
            raise ValueError(f"the selector must choose an arm in [0, {len(table.fixed)}), got {action}")
    return actions


def arm_of_round(state: Running, table: ArmTable, action: int, n_running: int) -> DraftingArm:
    """Return the fixed arm that drafts: the one chosen, or the one that a chosen rule takes now.

    Raises:
        ValueError: if the rule takes an arm that it has not.
    """
    arm = table.fixed[action]
    if arm is not None:
        return arm
    rule = table.rules[action]
    assert rule is not None
    chosen, own = rule
    taken = chosen.choose(round_context(state, own, n_running))
    if not 0 <= taken < len(chosen.arms):
        raise ValueError(f"arm {chosen.name!r}: the rule must choose an arm in [0, {len(chosen.arms)}), got {taken}")
    return chosen.arms[taken]
