"""One of several servers that share a folder: what is its own, and how it finds the others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from arms.atomic_file import write_file
from arms.folder_lock import FolderInUseError, FolderLock
from arms.input_file import read_text
from bandits.seeds import SeedTree

LEARNER = "learner"
"""Name of the folder in which a server's learner saves."""
_DECISION = re.compile(r"dp-r(\d{1,6})-")


@dataclass(frozen=True, slots=True)
class Replica:
    """One of several servers, each with a folder of its own below a shared one.

    Attributes:
        state: folder that all of them read.
        number: tells it from the others; who has it next goes on where it was.
    """

    state: Path
    number: int

    @property
    def folder(self) -> Path:
        """Where its log and its learner are."""
        return self.state / f"replica-{self.number}"

    @property
    def id_prefix(self) -> str:
        """What the ids of its decisions begin with, by which the others find it."""
        return f"dp-r{self.number}"

    def other_learners(self) -> list[Path]:
        """Return where the learners of the others save."""
        return [path for path in sorted(self.state.glob(f"replica-*/{LEARNER}")) if path.parent != self.folder]

    def seed(self, seed: int) -> int:
        """Return its own seed: with one seed for all, the n-th choices of all of them would be drawn alike."""
        return SeedTree(seed).integer("replica", str(self.number))

    def announce(self, url: str) -> None:
        """Tell the others, and whoever reads its metrics, where it listens."""
        write_file(self.folder / "url", url)

    def url(self) -> str | None:
        """Return where it listens, or listened last; None where nobody has had its number."""
        file = self.folder / "url"
        return read_text(file).strip() if file.is_file() else None

    def holder_of(self, decision_id: str) -> Replica | None:
        """Return which other one made a decision, by its id; None for an own one, and for an id of no replica."""
        found = _DECISION.match(decision_id)
        if found is None or int(found[1]) == self.number:
            return None
        return Replica(self.state, int(found[1]))


def claim(state: Path) -> tuple[Replica, FolderLock]:
    """Return the replica with the lowest number that no running one has, and the lock that holds it."""
    number = 0
    while True:
        replica = Replica(state, number)
        try:
            return replica, FolderLock(replica.folder, "replica")
        except FolderInUseError:
            number += 1
