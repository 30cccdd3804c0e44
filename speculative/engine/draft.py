"""The proposer of a round: what a draft promises the engine."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Tokens a draft puts up for verification.

    Attributes:
        token_ids: target-vocabulary ids, at most the length asked for; empty when there is nothing to say.
        n_read: tokens of the prefix the draft had to read before its first guess.
        read_s: seconds spent reading them.
    """

    token_ids: list[int]
    n_read: int = 0
    read_s: float = 0.0


class DraftSession(ABC):
    """A draft's state for one request. The engine only ever extends the prefix it shows to a session."""

    @abstractmethod
    def propose(self, prefix: Sequence[int], draft_length: int) -> Proposal:
        """Continue `prefix` (prompt and committed tokens, never rejected ones) by up to `draft_length` >= 1.

        `prefix` is the engine's own list, or a copy: read it, never change it.
        """

    def close(self) -> None:  # noqa: B027 (most sessions hold nothing)
        """Give back what the session holds; called once, when its request ends."""


class Draft(ABC):
    """A way to guess the target's next tokens.

    Every draft built on this class states a point mass: its tokens are a deterministic function of the
    prefix. Greedy verification and sample-then-match are exact for any such draft.

    Attributes:
        name: unique among the drafts of a pool.
        max_positions: longest prefix it can continue, tokens; None for no limit.
    """

    name: str
    max_positions: int | None = None

    @abstractmethod
    def open(self, prompt: Sequence[int]) -> DraftSession:
        """Start a request. Expensive reading waits until the first `propose`."""

    def write(self, prompt: Sequence[int], n_tokens: int) -> list[int] | None:
        """The draft's own continuation of a prompt; None for a draft that only guesses along."""
        return None

    def accepted_lengths(
        self, prompt: Sequence[int], new: Sequence[int], max_draft_length: int
    ) -> tuple[Counts, Counts]:
        """Tokens proposed and accepted when asked after j of the tokens `new` that the target wrote.

        Returns:
            proposed, accepted: (n_new,) int32 each; entry 0 is unused: the prefill yields the first token.
        """
        text = [*prompt, *new]
        proposed, accepted = np.zeros((2, len(new)), dtype=np.int32)
        session = self.open(prompt)
        for j in range(1, len(new)):
            start = len(prompt) + j
            draft_length = max_draft_length
            if self.max_positions is not None:
                draft_length = min(draft_length, self.max_positions - start)
            guess = session.propose(text[:start], draft_length).token_ids if draft_length >= 1 else []
            proposed[j] = len(guess)
            wrong = (i for i, token in enumerate(guess) if text[start + i : start + i + 1] != [token])
            accepted[j] = next(wrong, len(guess))
        session.close()
        return proposed, accepted


class DraftingArm(Protocol):
    """What the engine needs of an arm: which draft, and how far it may guess in a round."""

    @property
    def name(self) -> str:
        """The arm's name."""

    @property
    def draft(self) -> Draft:
        """The proposer."""

    @property
    def draft_length(self) -> int:
        """Most tokens proposed per round; 0 for no draft."""
