"""From seconds to a plan: which form is fastest, by rules that need no clock."""

from collections.abc import Mapping, Sequence
from typing import TypeVar, get_args

import torch

from speculative.models.kernels.plan import SAFE_PLAN, FormSeconds, KernelPlan, Packing
from speculative.models.kernels.products import INT4, form_name
from speculative.models.kernels.trial import Seconds

MARGIN = 0.03  # by which another form must be faster than the usual one: less may be noise
_STAIR = 4  # rows that the 4-bit kernel computes together
_FILLED_UP_TO = (2, 4)
_FOUND = TypeVar("_FOUND")


def decoding_s(seconds: Mapping[int, float]) -> float:
    """Mean of a plain step's seconds and of a round's: what forms are judged by."""
    rounds = [s for n, s in seconds.items() if n >= _STAIR]
    return (seconds[1] + sum(rounds) / len(rounds)) / 2


def fastest(seconds: Mapping[_FOUND, float], usual: _FOUND) -> _FOUND:
    """Return the form of least seconds; the usual one unless another is faster by `MARGIN`."""
    best = min(seconds, key=lambda form: seconds[form])
    return best if seconds[best] < seconds[usual] * (1 - MARGIN) else usual


def best_packing(seconds: Seconds, dtype: torch.dtype) -> Packing:
    """Return the packing of dense weights."""
    packings: tuple[Packing, ...] = get_args(Packing)
    found = {p: decoding_s(seconds[form_name(dtype, p)]) for p in packings if form_name(dtype, p) in seconds}
    usual = SAFE_PLAN.packing
    return fastest(found, usual) if usual in found else min(found, key=lambda p: found[p])


def best_min_rows(seconds: Mapping[int, float]) -> int:
    """Return how many rows narrower passes are filled up to: more than one where that takes less time."""
    best = 1
    for n in _FILLED_UP_TO:
        if seconds[n] < seconds[best] * (1 - MARGIN):
            best = n
    return best


def first_wide_rows(narrow: Mapping[int, float], copy: Mapping[int, float]) -> int | None:
    """Return from how many rows on a bfloat16 copy takes less than 4-bit blocks; None where it never did.

    The blocks cost the same for every four rows and the copy more for more: where it wins at the last row of a stair,
    it wins on all of it.
    """
    first = None
    for n in sorted(narrow, reverse=True):
        if copy[n] >= narrow[n]:
            break
        first = max(1, n - _STAIR + 1)
    return first


def with_copy(narrow: Mapping[int, float], copy: Mapping[int, float]) -> dict[int, float]:
    """Seconds of 4-bit blocks with a bfloat16 copy for wide passes."""
    first = first_wide_rows(narrow, copy)
    return {n: copy[n] if first is not None and n >= first else s for n, s in narrow.items()}


def dense_seconds(seconds: Seconds, dtype: torch.dtype) -> dict[int, float]:
    """Seconds of dense weights in the packing that they would take."""
    return seconds[form_name(dtype, best_packing(seconds, dtype))]


def plan_of(seconds: Seconds, dtype: torch.dtype, *, four_bits: bool) -> KernelPlan:
    """Choose packing, filling and wide copies.

    The widest pass that is timed is narrow beside a prompt: where the copy wins at none, the safe plan says from where.

    Args:
        seconds: of the dense forms of `dtype`; with `four_bits` of bfloat16's where there are copies, and of `INT4`.
        dtype: of dense weights.
        four_bits: whether the layers' weights are at 4 bits.
    """
    if not four_bits:
        min_rows = best_min_rows(dense_seconds(seconds, dtype))
        return KernelPlan(best_packing(seconds, dtype), min_rows, measured=_records(seconds))
    if form_name(torch.bfloat16, "plain") not in seconds:
        return KernelPlan(wide_rows=None, measured=_records(seconds))
    wide_rows = first_wide_rows(seconds[INT4], dense_seconds(seconds, torch.bfloat16)) or SAFE_PLAN.wide_rows
    return KernelPlan(best_packing(seconds, torch.bfloat16), wide_rows=wide_rows, measured=_records(seconds))


def fastest_dtype(seconds: Seconds, dtypes: Sequence[torch.dtype]) -> torch.dtype:
    """Return the dtype whose dense form is fastest; the first unless another is faster by `MARGIN`."""
    return fastest({dtype: decoding_s(dense_seconds(seconds, dtype)) for dtype in dtypes}, dtypes[0])


def _records(seconds: Seconds) -> tuple[FormSeconds, ...]:
    return tuple(FormSeconds(form, tuple(row), tuple(row.values())) for form, row in seconds.items())
