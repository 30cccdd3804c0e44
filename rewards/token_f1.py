"""Agreement of texts by the words that they share, in any order."""

from collections import Counter
from dataclasses import dataclass

from rewards.text_agreement import TextAgreement
from rewards.words import words


@dataclass(frozen=True)
class TokenF1(TextAgreement):
    """F1 of the words that the draft's own text and the target's text share, each as often as both have it.

    F = 2 * shared / (m + n), with m and n the numbers of words, whose order does not count; words as in `RougeL`.
    Source: Rajpurkar et al. 2016, SQuAD (arXiv:1606.05250), section 6.1; here articles count.
    """

    def _agreement(self, own: str, target: str) -> float:
        own_words, target_words = Counter(words(own)), Counter(words(target))
        n_words = own_words.total() + target_words.total()
        return 2.0 * (own_words & target_words).total() / n_words if n_words else 1.0
