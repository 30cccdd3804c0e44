"""What a request asks of single tokens: bias, penalties, words never to be said, a least length, rules of its own.

Every control is a function of the logits at one position and of the tokens before it, so a text is the same whichever
drafts helped, and whether its positions are judged one by one or several in a pass.

Source: order and rules of transformers' `generate`: SequenceBiasLogitsProcessor, RepetitionPenaltyLogitsProcessor
(Keskar et al. 2019, section 4.1, arXiv:1909.05858), NoBadWordsLogitsProcessor, MinNewTokensLengthLogitsProcessor,
custom processors; frequency and presence penalty as OpenAI's API defines them (counts over the answer alone), in vLLM's
place, after the repetition penalty. One deviation: transformers lets a bad word pass that begins with the text's first
token.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from speculative.sampling.logits_processor import LogitsProcessor
from speculative.sampling.pinned import without_waiting
from speculative.sampling.sampling_params import Bias, SamplingParams, TokenSequences

Ids = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]


def control_logits(
    scores: Tensor, params: SamplingParams, prefix: Sequence[int], n_prompt: int = 0, eos_ids: Sequence[int] = ()
) -> Tensor:
    """Apply all controls to the logits at one position.

    Args:
        scores: (v,) float32, never changed.
        params: the request's.
        prefix: the tokens before this one, prompt and draft tokens included; ids outside [0, v) say nothing.
        n_prompt: how many of them are the prompt's.
        eos_ids: tokens that end the text, for a least length.

    Returns:
        (v,) float32, -inf where a token is excluded; the input itself where nothing is to do.

    Raises:
        ValueError: if a logits processor returns anything but a row of v numbers.
    """
    if params.logit_bias:
        ids, bias = zip(*cast(Bias, params.logit_bias), strict=True)
        scores = _added(scores, np.array(ids, dtype=np.int64), np.array(bias, dtype=np.float32))
    if params.repetition_penalty != 1:
        scores = _penalise(scores, params.repetition_penalty, prefix)
    if params.frequency_penalty or params.presence_penalty:
        seen, counts = np.unique(np.array(prefix[n_prompt:], dtype=np.int64), return_counts=True)
        penalties = params.frequency_penalty * counts + params.presence_penalty
        scores = _added(scores, seen, -penalties.astype(np.float32))
    excluded = _completed(cast(TokenSequences, params.bad_words), prefix)
    if len(prefix) - n_prompt < params.min_new_tokens:
        excluded += eos_ids
    if excluded:
        scores = _added(scores, np.array(excluded, dtype=np.int64), np.full(len(excluded), -np.inf, dtype=np.float32))
    for processor in params.logits_processors:
        scores = _processed(scores, processor, prefix)
    return scores


def _added(scores: Tensor, ids: Ids, values: Values) -> Tensor:
    """Add a value to each of these entries; ids, each named once or with one value, beyond the row say nothing."""
    possible = (ids >= 0) & (ids < scores.numel())
    places = without_waiting(torch.from_numpy(ids[possible]), scores.device)
    added = without_waiting(torch.from_numpy(values[possible]), scores.device)
    return scores.index_put((places,), scores[places] + added)


def _penalise(scores: Tensor, penalty: float, prefix: Sequence[int]) -> Tensor:
    ids = np.fromiter(set(prefix), dtype=np.int64)
    seen = without_waiting(torch.from_numpy(ids[(ids >= 0) & (ids < scores.numel())]), scores.device)
    values = scores[seen]
    return scores.index_put((seen,), torch.where(values < 0, values * penalty, values / penalty))


def _completed(bad_words: TokenSequences, prefix: Sequence[int]) -> list[int]:
    """Return the tokens that would complete a bad word here."""
    found = []
    for *begin, last in bad_words:
        if not begin or list(prefix[-len(begin) :]) == begin:
            found.append(last)
    return found


def _processed(scores: Tensor, processor: LogitsProcessor, prefix: Sequence[int]) -> Tensor:
    found = processor.process(tuple(prefix), scores.clone())
    if not isinstance(found, Tensor) or found.shape != scores.shape or not found.is_floating_point():
        got = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else repr(found)
        raise ValueError(f"logits processor {type(processor).__name__} must return ({len(scores)},) floats, got {got}")
    return found.to(scores.device, torch.float32)
