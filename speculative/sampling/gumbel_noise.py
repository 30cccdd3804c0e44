"""Noise that belongs to a seed, a position and a token, so that whoever asks for it gets the same.

The best of logits + Gumbel noise is a draw from their softmax. Target and drafts that add the same noise at the same
place of the text mostly agree, and the target's choice never depends on what was drafted.

Source: Gumbel-max, Maddison et al. 2014, section 2 (arXiv:1411.0030); noise shared by draft and target, Daliri et al.
2024 (arXiv:2408.07978). Hash: SplitMix64, Steele et al. 2014, figure 17 (doi:10.1145/2660193.2660195), with the
constants of its usual 64-bit variant.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from speculative.sampling.kernels import kernel_like
from speculative.sampling.pinned import without_waiting

UnsignedWords = npt.NDArray[np.uint64]
BestOfRows = Callable[[Tensor, Tensor, Tensor | None], Tensor]

_N_BITS = 52  # k + 1/2 with k of that many bits is exact in float64, next to 1 too
_WORD = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31
_CHUNK = 8192  # words made at a time: 64 KB, which the processor's nearest caches hold
_HEAD = 4.0  # of the gap to the best logit: mostly a few hundred tokens, and e**-4 of the others have such noise

GUMBEL_MAX: float = -math.log(-math.log(1 - 2.0 ** -(_N_BITS + 1)))
"""No noise is larger: 36.7."""

GUMBEL_MIN: float = -math.log(-math.log(2.0 ** -(_N_BITS + 1)))
"""No noise is smaller: -3.6."""


def random_words(seed: int | UnsignedWords, position: int | UnsignedWords, token_ids: UnsignedWords) -> UnsignedWords:
    """Hash (seed, position, token) to 64 bits: word number `token` of a SplitMix64 stream for seed and position.

    Args:
        seed: in [0, 2**64); or (n,) uint64, one for each token.
        position: of the token in the text, >= 0; or (n,) uint64.
        token_ids: (n,) uint64, or (1,) if another argument is (n,).

    Returns:
        (n,) uint64.
    """
    if isinstance(seed, int) and isinstance(position, int):
        return _words(token_ids, np.uint64(stream_key(seed, position)))
    seeds, positions = (np.atleast_1d(np.asarray(values, dtype=np.uint64)) for values in (seed, position))
    keys = _mix(_mix(seeds + np.uint64(_GOLDEN)) + positions * np.uint64(_GOLDEN))
    return _words(token_ids, keys)


def _words(token_ids: UnsignedWords, keys: np.uint64 | UnsignedWords) -> UnsignedWords:
    return _mix(token_ids * np.uint64(_GOLDEN) + keys)


def _mix(words: UnsignedWords) -> UnsignedWords:
    """Scramble words one to one, in place."""
    for shift, factor in _ROUNDS:
        words ^= words >> np.uint64(shift)
        words *= np.uint64(factor)
    words ^= words >> np.uint64(_LAST_SHIFT)
    return words


def stream_key(seed: int, position: int) -> int:
    """Hash a seed and a place of the text to the key of their stream of 64-bit words."""
    return _mix_int(_mix_int(seed + _GOLDEN & _WORD) + position * _GOLDEN & _WORD)


def _mix_int(word: int) -> int:
    for shift, factor in _ROUNDS:
        word = (word ^ word >> shift) * factor & _WORD
    return word ^ word >> _LAST_SHIFT


def uniform(key: int, number: int) -> float:
    """Map word `number` >= 0 of a key's stream, see `stream_key`, to (0, 1), as `uniforms` does."""
    return ((_mix_int(key + number * _GOLDEN & _WORD) >> (64 - _N_BITS)) + 0.5) * 2.0**-_N_BITS


def words_by_torch(seed: int, position: int, token_ids: Tensor) -> Tensor:
    """Compute the same words by torch: its int64 arithmetic wraps, and masks make its shifts logical."""
    return _mix_by_torch((token_ids * _signed(_GOLDEN)).add_(_signed(stream_key(seed, position))))


def _mix_by_torch(words: Tensor) -> Tensor:
    for shift, factor in _ROUNDS:
        words.bitwise_xor_((words >> shift).bitwise_and_(_WORD >> shift)).mul_(_signed(factor))
    return words.bitwise_xor_((words >> _LAST_SHIFT).bitwise_and_(_WORD >> _LAST_SHIFT))


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


def uniforms(words: Tensor) -> Tensor:
    """Map (n,) int64 random words to (n,) float64: odd multiples of 2**-53, strictly between 0 and 1."""
    bits = (words >> (64 - _N_BITS)).bitwise_and_(2**_N_BITS - 1)
    return bits.double().add_(0.5).mul_(2.0**-_N_BITS)


def gumbel_noise(seed: int, position: int, token_ids: Tensor) -> Tensor:
    """Give the standard Gumbel noise -log(-log u) of some tokens at one place of the text.

    Args:
        seed: of the request, in [0, 2**63).
        position: of the token in the text, counted from the prompt's start, >= 0.
        token_ids: (n,) int64, ids of the target's vocabulary, on any device.

    Returns:
        (n,) float64 in [GUMBEL_MIN, GUMBEL_MAX], a pure function of the three (to the last bit on one device; devices
        may round logarithms differently).
    """
    if token_ids.device.type == "cpu":
        return torch.from_numpy(_noise_cpu(random_words(seed, position, token_ids.numpy().view(np.uint64))))
    return _noise(words_by_torch(seed, position, token_ids))


def _noise(words: Tensor) -> Tensor:
    return uniforms(words).log_().neg_().log_().neg_()


def _noise_cpu(words: UnsignedWords) -> npt.NDArray[np.float64]:
    uniform = ((words >> np.uint64(64 - _N_BITS)).astype(np.float64) + 0.5) * 2.0**-_N_BITS
    noise: npt.NDArray[np.float64] = -np.log(-np.log(uniform))
    return noise


def argmax_with_noise(processed: Tensor, seed: int, position: int, token_ids: Tensor | None = None) -> Tensor:
    """Draw a token: the best of logits + noise, the first of several.

    Exact, but on the CPU noise is computed only where it can matter, see `argmax_on_cpu`.

    Args:
        processed: (v,) float32, neither NaN nor +inf; -inf is never drawn (all -inf: index 0).
        seed: of the request, in [0, 2**63).
        position: of the token in the text, counted from the prompt's start, >= 0.
        token_ids: (v,) int64, the target's id of each entry; None if they are numbered as the target's.

    Returns:
        () int64, an index into `processed`.
    """
    if processed.device.type == "cpu":
        ids = None if token_ids is None else token_ids.numpy()
        return torch.tensor(argmax_on_cpu(processed.detach().numpy(), seed, position, ids))
    # picking entries would wait for the device, where logarithms cost less
    keys = without_waiting(torch.tensor(keys_of_rows(seed, position, 1)), processed.device)
    return argmax_of_rows(processed[None], keys, token_ids)[0]


def argmax_of_rows(processed: Tensor, keys: Tensor, token_ids: Tensor | None = None) -> Tensor:
    """Draw a token from each of several rows, without waiting for the device.

    Args:
        processed: (n, v) float32, as in `argmax_with_noise`.
        keys: (n,) int64, of each row, see `keys_of_rows`.
        token_ids: (v,) int64, as there.

    Returns:
        (n,) int64, what `argmax_with_noise` gives row by row.
    """
    return (_kernel(processed.device) or _best_of_rows)(processed, keys, token_ids)


def _best_of_rows(processed: Tensor, keys: Tensor, token_ids: Tensor | None) -> Tensor:
    ids = torch.arange(processed.shape[1], device=processed.device) if token_ids is None else token_ids
    words = (ids * _signed(_GOLDEN)) + keys[:, None]
    sums = processed.double() - processed.amax(1, keepdim=True) + _noise(_mix_by_torch(words))
    return torch.where(processed == -math.inf, -math.inf, sums).argmax(1)


@cache
def _kernel(device: torch.device) -> BestOfRows | None:
    def load() -> BestOfRows:
        from speculative.sampling.triton_noise import best_of_rows

        return best_of_rows

    rows, keys = torch.arange(4000.0).sin().view(2, -1), torch.tensor(keys_of_rows(0, 0, 2))
    return kernel_like(_best_of_rows, load, device, rows, keys, torch.arange(2000).flip(0))


def keys_of_rows(seed: int, position: int, n: int) -> list[int]:
    """Hash a seed with each of n positions from the first one on, to words of int64."""
    return [_signed(stream_key(seed, position + i)) for i in range(n)]


def argmax_on_cpu(
    logits: npt.NDArray[np.float32], seed: int, position: int, token_ids: npt.NDArray[np.int64] | None
) -> int:
    """Find the best of logits + noise.

    With gap = logit - best logit, no token wins unless its gap is >= GUMBEL_MIN - GUMBEL_MAX. The head is the tokens of
    gap >= -HEAD: no other wins unless its noise is at least the head's best sum + HEAD, and whether it is, the random
    word tells without a logarithm.
    """
    top = float(logits.max())
    if top == -math.inf:
        return 0
    floor = top + GUMBEL_MIN - GUMBEL_MAX - 1e-7 * abs(top)  # the last term covers the rounding to float32
    possible = logits >= np.float32(floor - 1e-3)
    key = np.uint64(stream_key(seed, position))
    if np.count_nonzero(possible) < logits.size // 4:
        rows = np.flatnonzero(possible)
        return int(rows[_sums(logits, top, key, token_ids, rows).argmax()])
    lowest = np.float32(top - _HEAD)
    head = np.flatnonzero(logits >= lowest)
    sums = _sums(logits, top, key, token_ids, head)
    best = int(sums.argmax())
    rows = _of_large_words(logits.size, key, token_ids, _least_word(float(sums[best]) + top - float(lowest)))
    others = _sums(logits, top, key, token_ids, rows)
    winner, row = float(sums[best]), int(head[best])
    if rows.size and (others.max(), -rows[others.argmax()]) > (winner, -row):
        return int(rows[others.argmax()])
    return row


def _of_large_words(
    n: int, key: np.uint64, token_ids: npt.NDArray[np.int64] | None, least: np.uint64
) -> npt.NDArray[np.int64]:
    """Which of n entries have a word of at least `least`; words are made in pieces that the nearest caches hold."""
    found = []
    steps = np.arange(_CHUNK, dtype=np.uint64) * np.uint64(_GOLDEN)
    for start in range(0, n, _CHUNK):
        if token_ids is None:
            words = _mix(steps[: n - start] + np.uint64(start * _GOLDEN + int(key) & _WORD))
        else:
            words = _words(token_ids[start : start + _CHUNK].view(np.uint64), key)
        found.append(start + np.flatnonzero(words >= least))
    return np.concatenate(found)


def _sums(
    logits: npt.NDArray[np.float32],
    top: float,
    key: np.uint64,
    token_ids: npt.NDArray[np.int64] | None,
    rows: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """(logit - best logit) + noise of some rows."""
    ids = rows if token_ids is None else token_ids[rows]
    noise = _noise_cpu(_words(ids.view(np.uint64), key))
    sums: npt.NDArray[np.float64] = logits[rows].astype(np.float64) - top + noise
    return sums


def _least_word(noise: float) -> np.uint64:
    """Give a word below all that make noise of at least `noise`: u >= exp(-exp(-noise)), less what rounding may add."""
    spread = -math.expm1(-math.exp(-noise)) * (1 + 1e-9)
    return np.uint64(max(0, 2**64 - int(spread * 2.0**64) - 2**14))
