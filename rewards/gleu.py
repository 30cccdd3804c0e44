"""Agreement of texts by runs of up to four words, as the lower of precision and recall."""

from collections import Counter
from dataclasses import dataclass

from rewards.text_agreement import TextAgreement
from rewards.words import words

_LONGEST = 4


@dataclass(frozen=True)
class Gleu(TextAgreement):
    """Share of the runs of 1 to 4 words that the draft's own text and the target's text have in common.

    min(precision, recall) = shared / max(m, n), with m and n the numbers of runs in either text, each run shared as
    often as both have it; words as in `RougeL`. Two texts without words agree fully.
    Source: Wu et al. 2016, "Google's Neural Machine Translation System" (arXiv:1609.08144), section 4.3.
    """

    def _agreement(self, own: str, target: str) -> float:
        own_runs, target_runs = _runs(words(own)), _runs(words(target))
        most = max(own_runs.total(), target_runs.total())
        return (own_runs & target_runs).total() / most if most else 1.0


def _runs(found: list[str]) -> Counter[tuple[str, ...]]:
    """Count the runs of 1 to 4 words."""
    return Counter(run for n in range(1, _LONGEST + 1) for run in zip(*(found[i:] for i in range(n)), strict=False))
