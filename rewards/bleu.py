"""Agreement of texts as machine translation measures it, by runs of up to four words."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from arms.optional_import import optional_import
from rewards.text_agreement import TextAgreement
from rewards.words import spaced

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU


@dataclass(frozen=True)
class Bleu(TextAgreement):
    """BLEU of the draft's own text, with the target's text as the one reference, over 100 (extra `text`).

    Computed by sacrebleu for the single sentence, with its default words (13a) and smoothing and only as long runs of
    words as the text has; characters of a script without spaces stand for words.
    Source: Papineni et al. 2002, "BLEU"; Post 2018, sacrebleu (arXiv:1804.08771).

    Raises:
        ImportError: if sacrebleu is not installed.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        optional_import("sacrebleu.metrics", "text")  # where it is missing, that is said before anything is collected

    def _agreement(self, own: str, target: str) -> float:
        return min(1.0, float(self._metric.sentence_score(spaced(own), [spaced(target)]).score) / 100)

    @cached_property
    def _metric(self) -> "BLEU":
        metric: BLEU = optional_import("sacrebleu.metrics", "text").BLEU(effective_order=True)
        return metric
