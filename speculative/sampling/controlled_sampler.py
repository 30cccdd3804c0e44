"""A draft's sampler under a request's controls, so that it proposes what the target may accept."""

from collections.abc import Sequence

import torch

from speculative.sampling.controls import control_logits
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import DraftTokens, DrawingSampler, TokenSampler


class ControlledSampler(TokenSampler):
    """Applies bias, penalties, bad words and a least length to a draft's logits before another sampler picks.

    Whatever a draft proposes is verified, so this changes how much is accepted and never the text or its distribution.
    Logits processors are somebody else's code, written for the target's logits: leave them out. A position of which
    the tokens before are not known, since the draft did not pick them one by one, is picked without controls.

    Args:
        sampler: picks from the controlled logits.
        params: the request's, see `SamplingParams.without_processors`.
        prefix: prompt and committed tokens.
        n_prompt: how many of them are the prompt's.
        eos_ids: tokens that end the text.
        n_tokens: the target's ids lie below.
    """

    def __init__(
        self,
        sampler: TokenSampler,
        params: SamplingParams,
        prefix: Sequence[int],
        n_prompt: int,
        eos_ids: Sequence[int],
        n_tokens: int,
    ) -> None:
        self._sampler, self._params, self._prefix = sampler, params, prefix
        self._text: list[int] = []  # the prefix and what was picked, from the first pick on
        self._n_prompt, self._eos_ids, self._n_tokens = n_prompt, eos_ids, n_tokens

    def pick(self, logits: torch.Tensor, position: int, target_ids: torch.Tensor | None = None) -> torch.Tensor:
        """Choose an entry of the controlled row; arguments as in `TokenSampler`."""
        self._text = self._text or list(self._prefix)
        is_known = position == len(self._text)
        entry = self._sampler.pick(self._controlled(logits, target_ids) if is_known else logits, position, target_ids)
        if is_known:
            self._text.append(int(entry if target_ids is None else target_ids[entry]))
        return entry

    def drawn(self) -> DraftTokens:
        """Return what the other sampler has drawn."""
        return self._sampler.drawn()

    def drawing(self) -> DrawingSampler | None:
        """Return what draws, where the other sampler does."""
        return self._sampler.drawing()

    def _controlled(self, logits: torch.Tensor, target_ids: torch.Tensor | None) -> torch.Tensor:
        row = logits.float()
        if target_ids is not None:  # controls speak of the target's ids
            row = row.new_full((self._n_tokens,), -torch.inf).index_put((target_ids,), row)
        row = control_logits(row, self._params, self._text, self._n_prompt, self._eos_ids)
        return row if target_ids is None else row[target_ids]
