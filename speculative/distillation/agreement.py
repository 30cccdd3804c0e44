"""How often a draft proposes the target's next token, along the target's own text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bandits import Bootstrap, Estimate
from speculative.distillation.corpus import TargetText
from speculative.protocols.draft import Draft
from speculative.protocols.draft_trace import Counts

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
    hits, sizes, n_rounds = _hits(draft, texts)
    rate = Bootstrap(seed=seed).ratio_of_sums(hits, sizes)
    return MatchRate(
        value=rate.value,
        low=rate.low,
        high=rate.high,
        tokens_per_round=float(sizes.sum() / max(1, n_rounds)),
        n_texts=len(texts),
    )


def compare_match_rates(draft: Draft, other: Draft, texts: Sequence[TargetText], seed: int = 0) -> Estimate:
    """Return one draft's match rate minus another's on the same texts, with a paired 95 % interval over texts."""
    hits, sizes, _ = _hits(draft, texts)
    other_hits, _, _ = _hits(other, texts)
    return Bootstrap(seed=seed).ratio_of_sums(hits - other_hits, sizes)


def _hits(draft: Draft, texts: Sequence[TargetText]) -> tuple[Array, Array, int]:
    """Per text: positions of agreement, and positions; and the rounds at draft length 4 of all texts."""
    accepted = [draft.trace(text.prompt_ids, text.new_ids, 4).accepted for text in texts]
    hits = np.array([(row[1:] > 0).sum() for row in accepted], dtype=np.float64)
    sizes = np.array([len(row) - 1 for row in accepted], dtype=np.float64)
    return hits, sizes, sum(map(_n_rounds, accepted))


def _n_rounds(accepted: Counts) -> int:
    n_done, n_rounds = 1, 0
    while n_done < len(accepted):
        n_done += int(accepted[n_done]) + 1
        n_rounds += 1
    return n_rounds
