"""How much probability a draft's distribution shares with the target's, token by token of the target's text."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from speculative.drafts.logits_draft import read_along
from speculative.protocols.draft import Draft
from speculative.protocols.draft_trace import DraftLogits
from speculative.protocols.token_batch import TokenBatch
from speculative.targets.target import Target


def overlaps_of(
    drafts: Iterable[Draft], target: Target, prompt: Sequence[int], new: Sequence[int]
) -> dict[str, npt.NDArray[np.float32]]:
    """Return sum_x min(p(x), q(x)) = 1 - TV(p, q) of each token of `new` but the first, (n_new - 1,), by draft.

    p is the target's distribution at temperature 1 and q the draft's, after the same tokens of the text; 0 where the
    text is longer than a draft's context. Drafts that draw from no distribution are left out.
    Source: Leviathan et al. 2023 (arXiv:2211.17192), theorem 3.5.

    Args:
        drafts: of the target.
        target: whose text it is.
        prompt: token ids.
        new: token ids of the target's text, at least one.
    """
    found: dict[str, npt.NDArray[np.float32]] = {}
    probabilities: torch.Tensor | None = None
    for draft in drafts:  # one draft's logits at a time are held
        own = draft.logits_along(prompt, new)
        if own is not None:
            probabilities = _probabilities(target, prompt, new) if probabilities is None else probabilities
            found[draft.name] = _overlap(probabilities, own)
    return found


def _probabilities(target: Target, prompt: Sequence[int], new: Sequence[int]) -> torch.Tensor:
    """Return the target's distribution after each token of `new` but the last, (n_new - 1, v)."""
    cache = target.model.new_cache(1, len(prompt) + len(new))

    def read(token_ids: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        return target.model.forward(TokenBatch(token_ids, [len(token_ids)]), cache, rows).logits

    text = torch.tensor([*prompt, *new[:-1]], device=target.model.device)
    logits = torch.cat(list(read_along(text, len(prompt), read)))
    return logits[:, : target.n_tokens].float().softmax(-1)


def _overlap(target: torch.Tensor, draft: DraftLogits) -> npt.NDArray[np.float32]:
    own = draft.values.float().softmax(-1)
    ids = slice(own.shape[1]) if draft.entry_ids is None else draft.entry_ids
    shared = torch.minimum(target[: len(own), ids], own).sum(-1).clamp(max=1.0)  # sums of float32 may be above 1
    result = np.zeros(len(target), dtype=np.float32)
    result[: len(own)] = shared.cpu().numpy()
    return result
