"""What an arm does in a round, as far as replay needs it: names and numbers, no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from arms.checks import at_least
from arms.fingerprint import fingerprint
from speculative.selectors.priority_rule import PriorityRule
from speculative.targets.rule_arm import PoolArm, RuleArm


@dataclass(frozen=True)
class ArmPlan:
    """Which draft an arm asks for how many tokens: always the same one, or the first whose match is long enough.

    Attributes:
        drafts: (name, draft length) of each draft that may draft, the fallback last; length 0 is no draft.
        min_match_lengths: for each of them but the last, the match that its look-up must have found.

    Raises:
        ValueError: if their numbers do not fit.
    """

    drafts: tuple[tuple[str, int], ...]
    min_match_lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.min_match_lengths) != len(self.drafts) - 1:
            raise ValueError(
                f"a plan of {len(self.drafts)} drafts must have {len(self.drafts) - 1} min_match_lengths, got "
                f"{len(self.min_match_lengths)}"
            )
        for _, draft_length in self.drafts:
            at_least(draft_length, 0, "draft_length")

    @classmethod
    def fixed(cls, draft: str, draft_length: int) -> "ArmPlan":
        """Return the plan of an arm with one draft."""
        return cls(((draft, draft_length),))

    @classmethod
    def of(cls, arm: PoolArm) -> "ArmPlan":
        """Return the plan of an arm."""
        if isinstance(arm, RuleArm):
            return cls(tuple((one.draft.name, one.draft_length) for one in arm.arms), arm.min_match_lengths)
        return cls.fixed(arm.draft.name, arm.draft_length)

    @cached_property
    def rule(self) -> PriorityRule:
        """What chooses, among the indices of `drafts`."""
        return PriorityRule(dict(enumerate(self.min_match_lengths)), fallback=len(self.drafts) - 1)

    @property
    def draft_length(self) -> int:
        """The longest."""
        return max(length for _, length in self.drafts)


NO_DRAFT = ArmPlan.fixed("no_draft", 0)


def plan_facts(arm: PoolArm) -> dict[str, object]:
    """Return what a manifest says of an arm: its plan, and what its drafts are; `plan_of_facts` reads it."""
    plan, drafts = ArmPlan.of(arm), {draft.name: fingerprint(draft) for draft in arm.drafts}
    return {
        "drafts": [[name, drafts[name], length] for name, length in plan.drafts],
        "min_match_lengths": list(plan.min_match_lengths),
    }


def plan_of_facts(facts: object) -> ArmPlan | None:
    """Return the plan that a manifest's entry tells; None where it is no such entry."""
    if not isinstance(facts, Mapping):
        return None
    drafts, lengths = facts.get("drafts"), facts.get("min_match_lengths")
    if not isinstance(drafts, Sequence) or not isinstance(lengths, Sequence):
        return None
    try:
        return ArmPlan(tuple((str(name), int(length)) for name, _, length in drafts), tuple(map(int, lengths)))
    except (TypeError, ValueError):
        return None
