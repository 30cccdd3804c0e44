"""Agreement of texts by their longest common subsequence of words."""

from dataclasses import dataclass

from rapidfuzz.distance import LCSseq

from rewards.text_agreement import TextAgreement
from rewards.words import words


@dataclass(frozen=True)
class RougeL(TextAgreement):
    """F1 of the longest common subsequence of words of the draft's own text and the target's text.

    F = 2 * LCS / (m + n), with m and n the numbers of words: the harmonic mean of LCS / m and LCS / n.
    Words are those of any script, lower-cased, and single characters where a script has no spaces. Two texts without
    words agree fully.
    Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", equations 2 to 4 with
    beta = 1; no stemming.
    """

    def _agreement(self, own: str, target: str) -> float:
        own_words, target_words = words(own), words(target)
        n_words = len(own_words) + len(target_words)
        return 2.0 * int(LCSseq.similarity(own_words, target_words)) / n_words if n_words else 1.0
