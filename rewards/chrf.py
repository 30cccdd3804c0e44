"""Agreement of texts by runs of up to six characters."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from arms.optional_import import optional_import
from rewards.text_agreement import TextAgreement

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF


@dataclass(frozen=True)
class ChrF(TextAgreement):
    """chrF2 of the draft's own text, with the target's text as the one reference, over 100 (extra `text`).

    F-score of the runs of 1 to 6 characters, spaces left out, in which recall counts twice as much as precision;
    computed by sacrebleu for the single sentence. It needs no words, so it takes every script as it is.
    Source: Popović 2015, "chrF"; Post 2018, sacrebleu (arXiv:1804.08771).

    Raises:
        ImportError: if sacrebleu is not installed.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        optional_import("sacrebleu.metrics", "text")  # where it is missing, that is said before anything is collected

    def _agreement(self, own: str, target: str) -> float:
        return min(1.0, float(self._metric.sentence_score(own, [target]).score) / 100)

    @cached_property
    def _metric(self) -> "CHRF":
        metric: CHRF = optional_import("sacrebleu.metrics", "text").CHRF()
        return metric
