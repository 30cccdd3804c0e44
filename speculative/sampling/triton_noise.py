"""Draws under Gumbel noise as one Triton kernel, for a card: `argmax_of_rows` takes a dozen launches over all logits.

The words, the noise and their order are those of `speculative.sampling.gumbel_noise`, which says where they are from.
"""

import torch
import triton
import triton.language as tl

_BLOCK = tl.constexpr(1024)  # tokens of a program


@triton.jit
def _best_of_block(processed, tops, keys, token_ids, best, v):
    """Find the best of (logit - best logit) + noise among a row's tokens of one block."""
    row, block = tl.program_id(0), tl.program_id(1)
    entries = block * _BLOCK + tl.arange(0, _BLOCK)
    logits = tl.load(processed + row * v + entries, mask=entries < v, other=float("-inf")).to(tl.float64)
    tokens = entries if token_ids is None else tl.load(token_ids + entries, mask=entries < v, other=0)
    golden = tl.full((_BLOCK,), 0x9E3779B97F4A7C15, tl.uint64)
    words = tokens.to(tl.uint64) * golden + tl.load(keys + row).to(tl.uint64, bitcast=True)
    words = (words ^ (words >> 30)) * tl.full((_BLOCK,), 0xBF58476D1CE4E5B9, tl.uint64)
    words = (words ^ (words >> 27)) * tl.full((_BLOCK,), 0x94D049BB133111EB, tl.uint64)
    words = words ^ (words >> 31)
    uniform = ((words >> 12).to(tl.float64) + 0.5) * 2.220446049250313e-16  # 2**-52
    sums = logits - tl.load(tops + row).to(tl.float64) - tl.log(-tl.log(uniform))
    sums = tl.where(logits == float("-inf"), logits, sums)
    place = row * tl.num_programs(1) + block
    tl.store(best + place, tl.max(sums, axis=0))
    entry = tl.minimum(block * _BLOCK + tl.argmax(sums, axis=0), v - 1)  # NaN may lose against what fills the block up
    tl.store(best + tl.num_programs(0) * tl.num_programs(1) + place, entry.to(tl.float64))


def best_of_rows(processed: torch.Tensor, keys: torch.Tensor, token_ids: torch.Tensor | None = None) -> torch.Tensor:
    """Draw a token from each row: the best of logits + noise, the first of several.

    Args:
        processed: (n, v) float32; -inf is never drawn (all -inf: index 0).
        keys: (n,) int64, the hash of each row's seed and position.
        token_ids: (v,) int64, the target's id of each entry; None if they are numbered as the target's.

    Returns:
        (n,) int64, below v; of a row that holds NaN or +inf any.
    """
    n, v = processed.shape
    n_blocks = -(-v // _BLOCK.value)
    best = processed.new_empty(2, n, n_blocks, dtype=torch.float64)  # of each block the sum and its entry
    _best_of_block[(n, n_blocks)](processed.contiguous(), processed.amax(1), keys, token_ids, best, v)
    return best[1].gather(1, best[0].argmax(1, keepdim=True))[:, 0].long()
