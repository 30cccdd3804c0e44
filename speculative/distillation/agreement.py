"""How often a draft proposes the target's next token, along the target's own text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bandits import Bootstrap, Estimate
from speculative.distillation.corpus import TargetText
from speculative.protocols.draft import Draft
from speculative.protocols.draft_trace import Counts

DRAFT_LENGTH = 4
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRate(Estimate):
    """Top-1 agreement of a draft with the target, over held-out texts.

    Attributes:
        value: mean over answer positions, the first one excepted, which the prefill yields.
        low: lower bound of the 95 % bootstrap interval over texts.
        high: upper bound of the same interval.
        tokens_per_round: new tokens per round at draft length 4, replayed.
        n_texts: texts it was measured on.
    """

    tokens_per_round: float
    n_texts: int


def match_rate(draft: Draft, texts: Sequence[TargetText], seed: int = 0) -> MatchRate:
    """Measure how often a draft's likeliest next token is the target's, along its texts.

    Raises:
        ValueError: if no text has a second token.
    """
    return rate_of([draft.trace(text.prompt_ids, text.new_ids, DRAFT_LENGTH).accepted for text in texts], seed)


def rate_of(accepted: Sequence[Counts], seed: int = 0) -> MatchRate:
    """Return the match rate from what would be accepted at every position of each text, see `DraftTrace.accepted`."""
    hits, sizes = _hits(accepted)
    rate = Bootstrap(seed=seed).ratio_of_sums(hits, sizes)
    return MatchRate(
        value=rate.value,
        low=rate.low,
        high=rate.high,
        tokens_per_round=float(sizes.sum() / max(1, sum(map(_n_rounds, accepted)))),
        n_texts=len(accepted),
    )


def compare_match_rates(draft: Draft, other: Draft, texts: Sequence[TargetText], seed: int = 0) -> Estimate:
    """Return one draft's match rate minus another's on the same texts, with a paired 95 % interval over texts."""
    found = [[one.trace(text.prompt_ids, text.new_ids, 1).accepted for text in texts] for one in (draft, other)]
    (hits, sizes), (other_hits, _) = map(_hits, found)
    return Bootstrap(seed=seed).ratio_of_sums(hits - other_hits, sizes)


def _hits(accepted: Sequence[Counts]) -> tuple[Array, Array]:
    """Return, of each text, positions of agreement, and positions."""
    hits = np.array([(row[1:] > 0).sum() for row in accepted], dtype=np.float64)
    return hits, np.array([len(row) - 1 for row in accepted], dtype=np.float64)


def _n_rounds(accepted: Counts) -> int:
    n_done, n_rounds = 1, 0
    while n_done < len(accepted):
        n_done += int(accepted[n_done]) + 1
        n_rounds += 1
    return n_rounds
