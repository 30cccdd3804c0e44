"""A request's controls where its logits are: the rules of `controls`, for tokens that the host does not know yet."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from speculative.sampling.pinned import without_waiting
from speculative.sampling.sampling_params import Bias, SamplingParams, TokenSequences
from speculative.sampling.token_sampler import DraftTokens, DrawingSampler, TokenSampler

_NO_TOKEN, _ANY = -2, -1


class DeviceControls:
    """Bias, counts of tokens, bad words and a least length of one request as tensors on a card.

    Args:
        params: the request's; logits processors are left out.
        n_prompt: tokens of its prompt.
        eos_ids: tokens that end the text.
        n_tokens: v; ids at or beyond it say nothing.
        device: where the logits are.
    """

    def __init__(
        self, params: SamplingParams, n_prompt: int, eos_ids: Sequence[int], n_tokens: int, device: torch.device
    ) -> None:
        self._params, self._n_prompt, self._n_tokens, self._device = params, n_prompt, n_tokens, device
        self._n_known = 0
        has_penalties = params.repetition_penalty != 1 or params.frequency_penalty or params.presence_penalty
        # of the whole text, and of the answer
        self._counts = torch.zeros(2, n_tokens, device=device) if has_penalties else None
        self._tail = self._here(torch.zeros(0, dtype=torch.int64))
        self._bias: Tensor | None = None
        if params.logit_bias:
            ids, values = zip(*cast(Bias, params.logit_bias), strict=True)
            self._bias = self._here(torch.zeros(n_tokens).index_put_((torch.tensor(ids),), torch.tensor(values)))
        words = cast(TokenSequences, params.bad_words)
        self._n_before = max((len(word) - 1 for word in words), default=0)
        begins = [[_ANY] * (self._n_before - len(word) + 1) + list(word[:-1]) for word in words]
        self._begins = self._here(torch.tensor(begins, dtype=torch.int64).view(len(words), self._n_before))
        self._lasts = self._here(torch.tensor([word[-1] for word in words], dtype=torch.int64))
        self._eos_ids = self._here(torch.tensor([i for i in eos_ids if i < n_tokens], dtype=torch.int64))

    def follow(self, text: Sequence[int]) -> None:
        """Take in what was committed: `text` is what was seen before, and more."""
        n = len(text)
        if self._counts is not None:
            for counts, first in zip(self._counts.unbind(0), (0, self._n_prompt), strict=True):
                new = [token for token in text[max(first, self._n_known) :] if 0 <= token < self._n_tokens]
                if new:
                    ids = self._here(torch.tensor(new))
                    counts.index_add_(0, ids, torch.ones(len(new), device=self._device))
        if self._n_before and n > self._n_known:
            padded = [_NO_TOKEN] * max(0, self._n_before - n) + list(text[max(0, n - self._n_before) :])
            self._tail = self._here(torch.tensor(padded))
        self._n_known = n

    def apply(self, rows: Tensor, drafted: Tensor) -> Tensor:
        """Apply all controls to rows of logits after the text that was taken in and more, without waiting.

        Args:
            rows: (m, v) float, never changed: those after the text and the first n - m, ..., n - 1 of `drafted`.
            drafted: (n - 1,) int64, tokens that follow the text.

        Returns:
            (m, v) float32, what `control_logits` gives row by row.
        """
        m, n, params = len(rows), len(drafted) + 1, self._params
        scores = rows.float() if self._bias is None else rows.float() + self._bias
        if self._counts is not None:
            own = torch.zeros(n, self._n_tokens, device=self._device)
            own[1:].scatter_(1, drafted[:, None], 1.0)
            own = own.cumsum(0)[n - m :]
            if (penalty := params.repetition_penalty) != 1:
                changed = torch.where(scores < 0, scores * penalty, scores / penalty)
                scores = torch.where(own + self._counts[0] > 0, changed, scores)
            counts = (own + self._counts[1]).double()
            penalties = params.frequency_penalty * counts + params.presence_penalty
            scores = scores - torch.where(counts > 0, penalties, 0.0).float()
        if len(self._lasts):
            before = torch.cat([self._tail, drafted])[n - m :]
            windows = before.unfold(0, self._n_before, 1) if self._n_before else before.new_zeros(m, 0)
            is_said = ((windows[:, None] == self._begins) | (self._begins == _ANY)).all(-1)
            scores = scores.index_add(1, self._lasts, torch.where(is_said, -math.inf, 0.0))
        if params.min_new_tokens and len(self._eos_ids):
            n_new = self._n_known - self._n_prompt + torch.arange(n - m, n, device=self._device)
            excluded = torch.where(n_new < params.min_new_tokens, -math.inf, 0.0)
            scores = scores.index_add(1, self._eos_ids, excluded[:, None].expand(m, len(self._eos_ids)))
        return scores

    def _here(self, tensor: Tensor) -> Tensor:
        return without_waiting(tensor, self._device)


class DeviceControlledSampler(TokenSampler):
    """What `ControlledSampler` is, for a draft whose tokens stay on a card.

    Args:
        sampler: picks from the controlled logits.
        controls: the request's; they have taken the text in.
        n_text: its length.
        n_tokens: the target's ids lie below.
    """

    def __init__(self, sampler: TokenSampler, controls: DeviceControls, n_text: int, n_tokens: int) -> None:
        self._sampler, self._controls, self._n_text, self._n_tokens = sampler, controls, n_text, n_tokens
        self._drafted: list[Tensor] = []

    def pick(self, logits: Tensor, position: int, target_ids: Tensor | None = None) -> Tensor:
        """Choose an entry of the controlled row; arguments as in `TokenSampler`."""
        if position != self._n_text + len(self._drafted):
            return self._sampler.pick(logits, position, target_ids)
        row = logits.float() if target_ids is not None else logits[: self._n_tokens].float()
        if target_ids is not None:  # controls speak of the target's ids
            row = row.new_full((self._n_tokens,), -math.inf).index_put((target_ids,), row)
        elif len(row) < self._n_tokens:
            row = torch.cat([row, row.new_full((self._n_tokens - len(row),), -math.inf)])
        before = torch.cat(self._drafted) if self._drafted else logits.new_zeros(0, dtype=torch.int64)
        row = self._controls.apply(row[None], before)[0]
        row = row[: len(logits)] if target_ids is None else row[target_ids]
        entry = self._sampler.pick(row, position, target_ids)
        self._drafted.append(entry[None] if target_ids is None else target_ids[entry[None]])
        return entry

    def drawn(self) -> DraftTokens:
        """Return what the other sampler has drawn."""
        return self._sampler.drawn()

    def drawing(self) -> DrawingSampler | None:
        """Return what draws, where the other sampler does."""
        return self._sampler.drawing()
