"""What an engine refuses when a request is submitted, before any work is done on it."""

from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.request import Request, check_length


def check_request(request: Request, target: CausalLM, cache: KVCache, n_tokens: int, *, decodes: bool) -> None:
    """Refuse a request that an engine cannot answer.

    Args:
        request: as submitted.
        target: the engine's.
        cache: its keys and values.
        n_tokens: ids from here on are never chosen.
        decodes: whether the engine turns tokens into text.

    Raises:
        ValueError: naming the request, and what is wrong with it.
    """
    check_length(request, target.max_positions)
    cache.check_room(len(request.token_ids) + request.max_new_tokens)
    if request.sampling.stop and not decodes:
        raise ValueError(f"request {request.id!r}: stop strings need an engine whose settings hold decode=")
    beyond = [token for token in request.token_ids + request.eos_ids if not 0 <= token < target.n_vocab]
    if beyond:
        raise ValueError(f"request {request.id!r}: token id {beyond[0]} is not in [0, {target.n_vocab})")
    named = request.sampling.named_ids
    if named and max(named) >= n_tokens:
        raise ValueError(
            f"request {request.id!r}: logit_bias and bad_words must name token ids below {n_tokens}, got {max(named)}"
        )
