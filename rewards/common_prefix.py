"""Agreement of texts up to where they first differ."""

from dataclasses import dataclass

from rapidfuzz.distance import Prefix

from rewards.text_agreement import TextAgreement


@dataclass(frozen=True)
class CommonPrefix(TextAgreement):
    """Characters before the draft's own text first differs from the target's text, over those of the longer text.

    What comes after the first difference does not count: the draft wrote it after a prefix that the target never had.
    """

    def _agreement(self, own: str, target: str) -> float:
        return float(Prefix.normalized_similarity(own, target))
