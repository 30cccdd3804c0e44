"""The targets that the experiments are run on, and the part that each arm of a target's pool plays in them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

NO_DRAFT = "no_draft"


@dataclass(frozen=True, kw_only=True)
class PaperTarget:
    """A target and the arms of its pool, by their part.

    Attributes:
        name: of its folder of traces, and in that of its pool file.
        title: as the page calls it.
        dtype: that its texts were written in; prices are those of this dtype where nothing else is said.
        look_ups: arms that look a continuation up.
        specialists: the arm that knows each domain.
        others: further drafts that most experiments choose among.
        exits: the target's own first layers, the fewest first.
        generalist: the arm that learned from all domains; None where the pool has none.
        writers: arms whose draft writes alone; no draft's text is the target's own. Deeper exits write almost as slowly
            as the target, look-ups and heads have no text of their own.
        by_number: arms in the order in which `number_of_arms` adds them.
        lacking: experiments that its traces cannot answer, and why.
        results: how the names of its results begin.
    """

    name: str
    title: str
    dtype: str
    look_ups: tuple[str, ...] = ("prompt_lookup_3", "suffix_3", "suffix_11")
    specialists: Mapping[str, str]
    others: tuple[str, ...] = ()
    exits: tuple[str, ...]
    generalist: str | None = None
    writers: tuple[str, ...]
    by_number: tuple[str, ...]
    lacking: Mapping[str, str] = field(default_factory=dict)
    results: str

    @property
    def main(self) -> str:
        """Return the name of the cost profile that prices where nothing else is said."""
        return f"{self.dtype}, 2 threads"

    @property
    def small(self) -> tuple[str, ...]:
        """Return no draft and the specialists."""
        return (NO_DRAFT, *self.specialists.values())

    @property
    def full(self) -> tuple[str, ...]:
        """Return what most experiments choose among."""
        return (NO_DRAFT, *self.look_ups, *self.specialists.values(), *self.others)


TARGETS = {
    target.name: target
    for target in (
        PaperTarget(
            name="smollm2",
            title="SmolLM2-135M-Instruct",
            dtype="float32",
            specialists={"maths": "draft_maths_4", "code": "draft_code_4"},
            exits=("early_exit_6_3", "early_exit_12_3", "early_exit_18_3", "early_exit_24_3"),
            writers=(NO_DRAFT, "draft_maths_4", "draft_code_4", "early_exit_6_3"),
            by_number=(
                *(NO_DRAFT, "draft_maths_4", "draft_code_4", "suffix_3"),
                *("early_exit_6_3", "suffix_11", "prompt_lookup_3", "early_exit_18_3"),
            ),
            lacking={"generalist": "its pool has no draft that learned from all domains"},
            results="paper_",
        ),
        PaperTarget(
            name="qwen",
            title="Qwen2.5-Coder-1.5B-Instruct",
            dtype="bfloat16",
            specialists={"maths": "head_maths_3", "code": "head_code_3"},
            others=("head_generalist_3", "draft_half_3"),
            exits=("early_exit_7_3", "early_exit_14_3", "early_exit_21_3"),
            generalist="head_generalist_3",
            writers=(NO_DRAFT, "draft_half_3", "early_exit_7_3"),
            by_number=(
                *(NO_DRAFT, "head_maths_3", "head_code_3", "suffix_3"),
                *("early_exit_7_3", "suffix_11", "prompt_lookup_3", "draft_half_3"),
            ),
            lacking={
                "quality": "no query was run with every arm",
                "reference_quality": "no query was run with every arm",
            },
            results="paper_qwen_",
        ),
    )
}


def paper_target(arms: Collection[str], targets: Mapping[str, PaperTarget] = TARGETS) -> PaperTarget:
    """Return the one of some targets whose pool has these arms.

    Raises:
        ValueError: if there is none.
    """
    for target in targets.values():
        if {*target.full, *target.exits, *target.writers, *target.by_number} <= set(arms):
            return target
    pools = " or ".join(f"pool_{name}.toml" for name in targets)
    raise ValueError(f"the arms must be all those of {pools}, got {', '.join(arms)}")
