"""By which settings a file or an option names a selector."""

from collections.abc import Sequence

from arms.plugin import build_plain
from arms.strict_model import StrictModel
from speculative.protocols.drafting_rule import EngineArm
from speculative.protocols.selector import Selector


class SelectorSpec(StrictModel):
    """What names a selector: `kind` and the settings of that kind; arms by their names.

    A selector with settings has a spec of its own, nested as `Spec`; one's own selector without settings needs none.

    Attributes:
        kind: a name of `SELECTORS`, or "package.module:Class".
    """

    kind: str

    def build(self, arms: Sequence[EngineArm]) -> Selector:
        """Make the selector for an engine's arms.

        Raises:
            TypeError: if the class at `kind` needs arguments and has no `Spec` that gives them.
            ValueError: if `kind` names no selector, or a setting names no arm.
        """
        return build_plain(self.kind, Selector, SelectorSpec, "selector")


def index_of(name: str, arms: Sequence[EngineArm]) -> int:
    """Return the index of the arm of that name.

    Raises:
        ValueError: if there is none.
    """
    names = [arm.name for arm in arms]
    if name not in names:
        raise ValueError(f"no arm is named {name!r}; there are {', '.join(names)}")
    return names.index(name)


def longest(arms: Sequence[EngineArm]) -> int:
    """Return the longest draft length, at least 1."""
    return max(1, *(arm.draft_length for arm in arms))
