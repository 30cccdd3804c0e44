"""Which request stands in which row of vLLM's batch: told by their texts, since its runner names none to a proposer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TokenRows = npt.NDArray[np.integer]
_LAST = 8  # tokens in which nearly all texts of one length differ


@dataclass(slots=True)
class TrackedRequest:
    """A request that vLLM decodes.

    Attributes:
        id: of this tracker's own.
        n_prompt: tokens before the first one generated; of a request that came back after a preemption, all that were
            there then.
        text: prompt and generated tokens.
        n_sampled: tokens that the last round gave, vLLM's own included; 0 in a round in which it was not decoded.
        tokens: begins with `text`, to compare with; room for more behind it.
    """

    id: str
    n_prompt: int
    text: list[int]
    n_sampled: int
    tokens: TokenRows


@dataclass(frozen=True, slots=True)
class TrackedRound:
    """One call of the runner.

    Attributes:
        rows: of each row its request; None where its prompt is still being read.
        begun: the ids of those that were not there before.
        ended: requests that are in no row any more.
    """

    rows: list[TrackedRequest | None]
    begun: frozenset[str]
    ended: list[TrackedRequest]


class RowTracker:
    """Recognises requests from round to round, wherever their rows have moved.

    A row continues a request if it is that request's text followed by the tokens sampled since. Two requests of equal
    texts are told apart no further: nothing that is known of them differs.
    """

    def __init__(self) -> None:
        self._requests: list[TrackedRequest] = []
        self._n_begun = 0

    def take(
        self, sampled_token_ids: Sequence[Sequence[int]], num_tokens: Sequence[int] | TokenRows, token_ids: TokenRows
    ) -> TrackedRound:
        """Note a round.

        Args:
            sampled_token_ids: of each row, the tokens accepted and sampled in this round.
            num_tokens: (rows or more,) tokens of each row, those of this round included.
            token_ids: (rows or more, longest) the texts.
        """
        known: dict[int, list[TrackedRequest]] = defaultdict(list)
        for request in self._requests:
            known[len(request.text)].append(request)
        rows: list[TrackedRequest | None] = []
        begun: set[str] = set()
        for i, sampled in enumerate(sampled_token_ids):
            tokens = token_ids[i, : int(num_tokens[i])]
            found = _taken(known[len(tokens) - len(sampled)], tokens)
            if found is None and len(sampled):
                found = self._begin(tokens, len(sampled))
                begun.add(found.id)
            elif found is not None:
                found.tokens = _grown(found.tokens, len(found.text), tokens)
                found.text += tokens[len(found.text) :].tolist()
                found.n_sampled = len(sampled)
            rows.append(found)
        held = [request for request in rows if request is not None]
        kept = {request.id for request in held}
        ended = [request for request in self._requests if request.id not in kept]
        self._requests = held
        return TrackedRound(rows, frozenset(begun), ended)

    def _begin(self, tokens: TokenRows, n_sampled: int) -> TrackedRequest:
        self._n_begun += 1
        return TrackedRequest(
            f"row-{self._n_begun}", len(tokens) - n_sampled, tokens.tolist(), n_sampled, tokens.copy()
        )


def _taken(candidates: list[TrackedRequest], tokens: TokenRows) -> TrackedRequest | None:
    """Take the first candidate whose text the tokens begin with out of the list; all have one length."""
    if not candidates:
        return None
    n = len(candidates[0].text)
    last = tokens[max(0, n - _LAST) : n].tolist()
    for place, request in enumerate(candidates):
        if request.text[-_LAST:] == last and np.array_equal(request.tokens[:n], tokens[:n]):
            return candidates.pop(place)
    return None


def _grown(held: TokenRows, n: int, tokens: TokenRows) -> TokenRows:
    """Return an array that begins with the tokens, of which it holds the first n already."""
    if len(tokens) > len(held):
        held = np.concatenate([held[:n], np.empty(2 * len(tokens) - n, held.dtype)])
    held[n : len(tokens)] = tokens[n:]
    return held
