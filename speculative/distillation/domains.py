"""Which texts each of several drafts learns from: its name says so."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from arms import Query

GENERALIST = "generalist"
_SHARE = re.compile(rf"{GENERALIST}_([1-9][0-9]?)")
_TAKEN = ("..", "drafts", "lock")  # folders and a file of the work that are no domain's
Sides = tuple[Sequence[Query], Sequence[Query]]
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class LearnedTexts:
    """What one draft learns from.

    Attributes:
        domains: whose texts.
        share: of each domain's texts, the first so many, in (0, 1].
    """

    domains: tuple[str, ...]
    share: float = 1.0

    def of(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows that belong to the texts learned from, of those of all texts of a domain."""
        return rows[: max(1, round(self.share * len(rows)))]


def learned_texts(name: str, domains: Sequence[str]) -> LearnedTexts:
    """Return what the draft of that name learns from, where there are texts of these domains."""
    if name == GENERALIST:
        return LearnedTexts(tuple(domains))
    part = _SHARE.fullmatch(name)
    return LearnedTexts((name,)) if part is None else LearnedTexts(tuple(domains), int(part[1]) / 100)


def by_domain(sides: Sides, names: Sequence[str]) -> Mapping[str, Sides]:
    """Return both sides' prompts of each domain that a draft learns from, in rising order.

    Args:
        sides: prompts to learn from, and others to measure on.
        names: of the drafts.

    Raises:
        ValueError: if a name repeats, is of no prompt on one of the sides, or is no folder's name.
    """
    if not names or len(set(names)) < len(names):
        raise ValueError(f"domains must be at least one name, each once, got {', '.join(names) or 'none'}")
    train, held_out = ({query.domain or "" for query in side} for side in sides)
    general = set(filter(_is_generalist, names))
    wanted = train | held_out if general else set(names)
    for domain in sorted(wanted | set(names) - general):
        if _is_generalist(domain):
            raise ValueError(f"no prompt's domain can be {domain!r}, the name of a draft for all of them")
        if domain not in train & held_out:
            raise ValueError(
                f"domain {domain!r} must have prompts to learn from and others to measure on; to learn from there are "
                f"{', '.join(map(repr, sorted(train)))}, to measure on {', '.join(map(repr, sorted(held_out)))}"
            )
        if not domain or Path(domain).name != domain or domain in _TAKEN:
            raise ValueError(f"a prompt's domain names a folder here, got {domain!r}: name it otherwise")
    return {
        domain: ([q for q in sides[0] if q.domain == domain], [q for q in sides[1] if q.domain == domain])
        for domain in sorted(wanted)
    }


def _is_generalist(name: str) -> bool:
    return name == GENERALIST or _SHARE.fullmatch(name) is not None
