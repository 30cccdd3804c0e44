"""Text that is the same bit for bit whichever arms helped: the target with results that no other token can touch."""

import torch

from speculative.models.decoder import Decoder
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.token_batch import TokenBatch

_N_PREFIX = 24


def strict_model(target: CausalLM, widest: int) -> CausalLM:
    """The same weights, computing every token's logits independently of what else is in a pass.

    Attention does so by its form (`AttentionPlan`). Matrix products are tested here, on the machine at hand: where a
    row's product depends on how many rows are computed, every pass is filled up to one width instead.

    Args:
        target: one of draftpick's decoders.
        widest: most tokens in a decoding pass.

    Raises:
        ValueError: if the target is another kind of model, or its products differ even at one width.
    """
    if not isinstance(target, Decoder):
        raise ValueError(f"strict text needs draftpick's own decoder as the target, got {type(target).__name__}")
    strict = target.strict()
    if rows_are_independent(strict, widest):
        return strict
    filled = target.strict(min_rows=widest)
    if rows_are_independent(filled, widest):
        return filled
    raise ValueError(
        f"strict text cannot be had here: a token's logits depend on the {widest} tokens in its pass even at a fixed "
        "width; use another dtype or device, fewer requests at once or shorter drafts"
    )


@torch.inference_mode()
def rows_are_independent(model: Decoder, widest: int) -> bool:
    """Whether passes of 1 to `widest` tokens give a token the same logits, keys and values, bit for bit."""
    widest = min(widest, model.max_positions - _N_PREFIX)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(model.n_vocab, (_N_PREFIX + widest,), generator=generator).to(model.device)
    cache = model.new_cache(1)
    model.forward(TokenBatch(tokens[:_N_PREFIX], [_N_PREFIX]), cache, [0])
    following = tokens[_N_PREFIX:]
    single = torch.cat([model.forward(TokenBatch(token[None], [1]), cache).logits for token in following])
    expected = cache.held(0, _N_PREFIX)
    for width in range(2, widest + 1):
        cache.truncate(0, _N_PREFIX)
        logits = model.forward(TokenBatch(following[:width], [width]), cache).logits
        same_cache = torch.equal(cache.held(0, _N_PREFIX), expected[..., :width, :])
        if not same_cache or not torch.equal(logits, single[:width]):
            return False
    return True
