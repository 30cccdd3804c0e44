"""Which columns of a table mean what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bandits import checks
from bandits.encoders.columns import ColumnFeatures, Unknown

TEXT_ROLES = ("query_id", "domain", "query", "arm")
_NUMBER_ROLES = ("reward", "cost", "propensity", "weight", "time")
ROLES = (*TEXT_ROLES, *_NUMBER_ROLES)


@dataclass(frozen=True, slots=True)
class TableLayout:
    """Which columns of a long table mean what.

    Args:
        columns: role to column name, where they differ; the roles are query_id, domain, query (the text), arm,
            reward, cost, propensity, weight and time. Only arm and reward must be there. One column is never an arm or
            a number in two roles.
        context_columns: features, in order; numbers as they are, text as one 0/1 feature a level (levels sorted).
            With an encoder they stand beside its features. None takes the columns context_0, context_1, ...
        features: the features of another table, such as `ColumnFeatures.of_name(policy.learned.encoder)`: the same
            columns and levels, whatever this table has. Instead of `context_columns`.
        unknown_levels: "refuse", or "own_column" for a feature that says that a level is none of those known; for
            `features` they have settled it.
        arm_names: the arms in order, also those that no row took; None takes the table's, sorted.
        encoder: name of the encoder that made the context columns, which the data are marked with.
    """

    columns: Mapping[str, str] | None = None
    context_columns: Sequence[str] | None = None
    features: ColumnFeatures | None = None
    unknown_levels: Unknown = "refuse"
    arm_names: Sequence[str] | None = None
    encoder: str | None = None

    def __post_init__(self) -> None:
        if self.context_columns is not None and self.context_columns != ():
            object.__setattr__(self, "context_columns", checks.names(self.context_columns, "context_columns"))
        if self.features is not None and self.context_columns is not None:
            raise ValueError("features name the context columns themselves: leave context_columns out")
        unknown = [role for role in self.columns or () if role not in ROLES]
        if unknown:
            raise ValueError(f"columns: unknown role {unknown[0]!r}; the roles are {', '.join(ROLES)}")
        read_by: dict[str, str] = {}
        for role in ("arm", *_NUMBER_ROLES):
            other = read_by.setdefault(self.column(role), role)
            if other != role:
                raise ValueError(
                    f"columns: {other} and {role} would both be the column {self.column(role)!r}: rename it, or name "
                    "another for one of them"
                )

    def column(self, role: str) -> str:
        """Return the name of a role's column."""
        return (self.columns or {}).get(role, role)
