"""One seed for a whole run, divided by role: no two parts of a run share a random stream.

Two generators made from the same small number are the same stream, so that a data generator and a policy that
both take seed 0 draw the same numbers. A `SeedTree` gives each role a stream of its own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from bandits import checks

_WORDS_PER_ROLE = 4  # 128 bits a role: names practically never collide


@dataclass(frozen=True, slots=True)
class SeedTree:
    """A seed and the roles that lead from it to here.

        tree = SeedTree(0)
        split = tree.rng("split")
        policy_seed = tree.integer("policy", "LinTS")

    The stream of a role depends on the seed and on the roles' names only: not on how many other roles there
    are, nor on the order in which they are asked for. It differs from `np.random.default_rng(seed)`.

    Args:
        seed: >= 0.
        path: the roles from the root to here.

    Source: NumPy's SeedSequence, whose spawn key here is a SHA-256 digest of each role's name.
    """

    seed: int
    path: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.at_least(self.seed, 0, "seed")

    def child(self, *roles: str) -> SeedTree:
        """Return the tree below these roles.

        Raises:
            ValueError: if there is no role, or one is empty.
        """
        if not roles or not all(isinstance(role, str) and role for role in roles):
            raise ValueError(f"roles must be one or more non-empty names, got {roles!r}")
        return SeedTree(self.seed, self.path + roles)

    def sequence(self, *roles: str) -> np.random.SeedSequence:
        """Return the seed sequence of a role."""
        node = self.child(*roles)
        return np.random.SeedSequence(node.seed, spawn_key=tuple(word for role in node.path for word in _words(role)))

    def rng(self, *roles: str) -> np.random.Generator:
        """Return a new generator at the start of a role's stream."""
        return np.random.default_rng(self.sequence(*roles))

    def integer(self, *roles: str) -> int:
        """Return a role's seed in [0, 2^31) for what takes a number, such as `Reinforce(seed=)`."""
        return int(self.sequence(*roles).generate_state(1)[0] >> 1)


def _words(role: str) -> list[int]:
    digest = hashlib.sha256(role.encode("utf-8")).digest()
    return [int.from_bytes(digest[4 * i : 4 * i + 4], "little") for i in range(_WORDS_PER_ROLE)]
