"""Alignment of a draft's own text with the target's."""

import re
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq

from arms import Observation
from arms.checks import within
from rewards.reward import Reward


@dataclass(frozen=True)
class RougeL(Reward):
    """F1 of the longest common subsequence of words of the draft's own text and the target's text.

    F = 2 * LCS / (m + n), with m and n the numbers of words: the harmonic mean of LCS / m and LCS / n.
    Words are runs of letters, digits and underscores, lower-cased, of any script; a script written without
    spaces gives one word a run. Two texts without words agree fully.
    Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", equations 2 to 4 with
    beta = 1; no stemming.

    Args:
        missing: Value of an observation without a text of its own, in [0, 1]; None rejects it.

    Raises:
        ValueError: if `missing` is outside [0, 1].
    """

    missing: float | None = None

    bounds = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.missing is not None:
            within(self.missing, 0, 1, "missing")

    def _value(self, observation: Observation) -> float:
        """Compare `own_text` with `reference.text`.

        Raises:
            ValueError: if `own_text` is missing and no stand-in was given, or `reference` is missing.
        """
        if observation.own_text is None:
            if self.missing is None:
                raise self.unfit(
                    observation,
                    "own_text (what the draft writes alone) is missing; collect it, or say what it is worth, as in "
                    "rouge_l(missing=0)",
                )
            return float(self.missing)
        return _f1(_words(observation.own_text), _words(self.reference_of(observation).text))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _f1(words: list[str], reference_words: list[str]) -> float:
    n_words = len(words) + len(reference_words)
    if n_words == 0:
        return 1.0
    return 2.0 * int(LCSseq.similarity(words, reference_words)) / n_words
