"""What a pool file says of an arm: a draft with a draft length, or a rule over such arms."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    field_validator,
    model_validator,
)

from arms.plugin import for_field
from arms.strict_model import StrictModel
from speculative.drafts import DraftSpec, NoDraft, read_draft_spec
from speculative.targets.speculative_arm import default_name

FIXED, RULE = "fixed arm", "rule arm"
"""How errors tell the two kinds apart; no field has such a name."""


class ArmSpec(StrictModel):
    """One arm: a draft and how far it may draft in a round.

    In a file the draft's kind and settings stand beside the arm's: `kind`, `draft_length`, `name` and what the draft's
    `Spec` has.

    Attributes:
        draft: kind and settings of the draft; arms whose drafts are equal share one.
        draft_length: most draft tokens a round; 0 for no draft.
        name: of the arm; by default made of the draft's name and the draft length.
    """

    draft: Annotated[SerializeAsAny[DraftSpec], BeforeValidator(for_field(read_draft_spec))]
    draft_length: int = Field(default=0, ge=0, le=64)
    name: str | None = None

    def name_with(self, draft: str) -> str:
        """Return the arm's name, its draft having this one."""
        return self.name or default_name(draft, self.draft_length)

    @model_validator(mode="before")
    @classmethod
    def _split(cls, table: object) -> object:
        if not isinstance(table, Mapping) or "draft" in table:
            return table
        own = {key: table[key] for key in ("draft_length", "name") if key in table}
        return {**own, "draft": {key: value for key, value in table.items() if key not in own}}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.draft, NoDraft.Spec) != (self.draft_length == 0):
            kind = self.draft.kind
            raise ValueError(f"draft_length must be 0 for no_draft and >= 1 for {kind}, got {self.draft_length}")
        return self


class ClauseSpec(StrictModel):
    """One clause of a rule: this arm drafts where its look-up has found so long a match.

    Attributes:
        arm: name of an arm of the pool.
        min_match_length: tokens; 0 takes the arm whenever its draft can work.
    """

    arm: str
    min_match_length: int = Field(ge=0)


class RuleSpec(StrictModel):
    """A rule over arms of the pool: the first clause that holds decides which of them drafts in a round.

    Attributes:
        kind: always "rule".
        name: of the arm.
        clauses: in order.
        fallback: name of the arm that drafts where no clause holds.
    """

    kind: Literal["rule"] = "rule"
    name: str = Field(min_length=1)
    clauses: tuple[ClauseSpec, ...] = Field(min_length=1)
    fallback: str

    @field_validator("clauses", mode="before")
    @classmethod
    def _check_clauses(cls, clauses: object) -> object:
        if not isinstance(clauses, list | tuple):
            raise ValueError("clauses must be a list of tables, each with an arm and a min_match_length")
        return clauses


def _kind_of(arm: object) -> str:
    kind = arm.get("kind") if isinstance(arm, Mapping) else getattr(arm, "kind", None)
    return RULE if kind == "rule" else FIXED


AnyArmSpec = Annotated[Annotated[ArmSpec, Tag(FIXED)] | Annotated[RuleSpec, Tag(RULE)], Discriminator(_kind_of)]
"""An entry of `arms` in a pool file."""
