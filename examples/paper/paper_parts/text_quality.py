"""How near texts are to references: BLEU over all of them, ROUGE-L of each."""

from collections.abc import Mapping

import numpy as np
import sacrebleu

from arms import Observation, Reference
from bandits import Bootstrap, Estimate
from rewards import RougeL


def text_quality(texts: Mapping[str, str], references: Mapping[str, str]) -> dict[str, object]:
    """Return how many texts there are, their BLEU and their mean ROUGE-L with its interval over queries.

    Args:
        texts: by query.
        references: by query, of these at least.
    """
    told = [references[query] for query in texts]
    return {
        "texts": len(texts),
        "BLEU": sacrebleu.corpus_bleu(list(texts.values()), [told]).score,
        "ROUGE-L": mean_rouge_l(texts, references),
    }


def mean_rouge_l(texts: Mapping[str, str], references: Mapping[str, str]) -> Estimate:
    """Return the mean over queries; arguments as in `text_quality`."""
    scores = np.array([_rouge_l(query, text, references[query]) for query, text in texts.items()])
    return Bootstrap().estimate(Bootstrap().sums(scores[:, None])[:, 0] / len(scores), len(scores))


def _rouge_l(query: str, text: str, reference: str) -> float:
    return RougeL()(Observation("arm", query, text, 1, 1.0, own_text=text, reference=Reference(reference, 1.0, 1)))
