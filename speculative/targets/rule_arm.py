"""An arm that is a rule: a look-up where its match is long enough, else the next in line."""

from collections.abc import Sequence

from arms.checks import at_least
from arms.fingerprint import digest
from speculative.protocols.draft import Draft
from speculative.protocols.drafting_rule import DraftingRule, EngineArm
from speculative.protocols.selector import RoundContext
from speculative.selectors.priority_rule import PriorityRule
from speculative.targets.speculative_arm import SpeculativeArm
from speculative.targets.target_arm import TargetArm, drafts_of, target_of


class RuleArm(TargetArm, DraftingRule):
    """The target's own text, helped in each round by the first arm of a list whose look-up has found enough.

    A policy chooses among rules and fixed arms alike; which draft then helps is decided anew in every round, by
    `PriorityRule`. A model draft that a rule has left idle reads what it missed when it is asked again.

    Args:
        clauses: (arm, min_match_length), in the order in which they are asked: the arm drafts where at least so many
            last tokens stand earlier in the text. 0 takes it whenever its draft can work.
        fallback: drafts where no clause holds.
        name: of the rule.

    Attributes:
        arms: those of the clauses, then the fallback.
        min_match_lengths: of the clauses.

    Raises:
        TypeError: if it is a rule over anything but fixed arms, such as another rule.
        ValueError: if there is no clause, an arm is named twice or has another target or sampling, or a least match
            length is beyond what the arm's look-up can find.
    """

    arms: tuple[SpeculativeArm, ...]

    def __init__(self, clauses: Sequence[tuple[SpeculativeArm, int]], fallback: SpeculativeArm, *, name: str) -> None:
        if not clauses:
            raise ValueError(f"rule {name!r} must have at least one clause; without one, use the arm itself")
        self.name, self.arms = name, (*(arm for arm, _ in clauses), fallback)
        for arm in self.arms:
            if not isinstance(arm, SpeculativeArm):
                raise TypeError(f"rule {name!r} must choose among fixed arms, no rule or anything else, got {arm!r}")
        names = [arm.name for arm in self.arms]
        twice = [each for each in names if names.count(each) > 1]
        if twice:
            raise ValueError(f"rule {name!r} must name each arm once, the fallback too, got {twice[0]!r} twice")
        for arm, length in clauses:
            _check_length(name, arm, length)
            if arm.sampling != fallback.sampling:
                raise ValueError(
                    f"rule {name!r}: its arms must share one sampling, which decides the text, got {arm.sampling} of "
                    f"{arm.name!r} and {fallback.sampling} of the fallback {fallback.name!r}"
                )
        self.target, self.sampling = target_of(self.arms), fallback.sampling
        self.draft_length = max(arm.draft_length for arm in self.arms)
        self.min_match_lengths = tuple(length for _, length in clauses)
        self._rule = PriorityRule(dict(enumerate(self.min_match_lengths)), fallback=len(clauses))

    @property
    def drafts(self) -> Sequence[Draft]:
        """Each draft of its arms, once."""
        return drafts_of(self.arms)

    def choose(self, round_: RoundContext) -> int:
        """Go down the list."""
        return self._rule.select([round_])[0]

    def fingerprint(self) -> str:
        """Return a digest of its arms and the match lengths that it asks for."""
        return digest([arm.fingerprint() for arm in self.arms], self.min_match_lengths)

    def _engine_arm(self) -> EngineArm:
        return self


PoolArm = SpeculativeArm | RuleArm
"""What a pool holds: a draft with a draft length, or a rule over such."""


def _check_length(rule: str, arm: SpeculativeArm, length: int) -> None:
    at_least(length, 0, f"rule {rule!r}: min_match_length of {arm.name!r}")
    longest = arm.draft.max_match_length
    if length > longest:
        found = f"finds matches of at most {longest} tokens" if longest else "looks nothing up"
        raise ValueError(
            f"rule {rule!r}: min_match_length of {arm.name!r} must be in [0, {longest}], because its draft {found}; "
            f"got {length}"
        )
