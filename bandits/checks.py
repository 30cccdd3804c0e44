"""Checks at the border: each turns an input into one plain array, or names the row, the rule and the value.

After these, the code inside trusts shapes, types and ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from arms.checks import at_least as at_least
from arms.checks import check_order as check_order
from arms.checks import not_negative as not_negative
from arms.checks import number as number
from arms.checks import positive as positive
from arms.checks import scale as scale
from arms.checks import share as share
from arms.checks import whole as whole
from arms.checks import within as within

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_WHOLE_IN_FLOAT32 = 2.0**24  # from here on, neighbouring whole numbers become one
_LARGE, _FINE_STEPS = (
    2.0**10,
    2.0**16,
)  # float32 must have so many numbers from the least of large values to the greatest
PROBABILITY_TOLERANCE = 1e-6  # float32 probabilities sum to one only to about 1e-7 times their number


def names(values: Sequence[str], what: str = "arm_names") -> tuple[str, ...]:
    """Return arm names as a tuple: at least one, each a non-empty string, none twice."""
    if isinstance(values, str):
        raise TypeError(f"{what} must be a sequence of names, got the single string {values!r}")
    check_order(values, what)
    result = tuple(values)
    if not result:
        raise ValueError(f"{what} must hold at least one name, got none")
    for name in result:
        if not isinstance(name, str) or not name:
            raise ValueError(f"{what} must be non-empty strings, got {name!r}")
    if len(set(result)) < len(result):
        double = min(name for name in result if result.count(name) > 1)
        raise ValueError(f"{what} must differ from one another, got {double!r} twice")
    return result


def matrix(values: ArrayLike, what: str, dtype: type[np.generic], shape: tuple[int | None, int | None]) -> np.ndarray:
    """Return a C-ordered two-dimensional array of `dtype`; None in `shape` leaves that side free."""
    return _shaped(_converted(values, what, dtype), what, shape)


def vector(values: ArrayLike, what: str, dtype: type[np.generic], length: int | None) -> np.ndarray:
    """Return a one-dimensional array of `dtype` with `length` entries (None leaves it free)."""
    return _shaped(_converted(values, what, dtype), what, (length,))


def _converted(values: ArrayLike, what: str, dtype: type[np.generic]) -> np.ndarray:
    if values is None:
        raise ValueError(f"{what} must be given, got None")
    if type(values) is np.ndarray and values.dtype == dtype and values.flags.c_contiguous:  # as decisions come
        return values
    raw = plain_array(values, what)
    try:
        if raw.dtype.kind == "c":  # a cast would drop the imaginary parts
            raise ValueError("complex")
        return np.ascontiguousarray(raw, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{what} must be real numbers, as many in each row: {_first_fault(values, dtype)}") from error


def plain_array(values: ArrayLike, what: str) -> np.ndarray:
    """Return values as an array; refuse what numpy would misread: masked entries, times, a sparse matrix."""
    check_unmasked(values, what)
    if callable(getattr(values, "toarray", None)):
        raise TypeError(f"{what} must be a dense array, got a sparse {type(values).__name__}: pass .toarray()")
    try:
        raw = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{what} must be real numbers, as many in each row: {_first_fault(values, np.float64)}"
        ) from error
    if raw.dtype.kind in "mM":
        raise TypeError(f"{what} must be numbers, got {raw.dtype}: convert times to seconds or days first")
    return raw


def check_unmasked(values: object, what: str) -> None:
    """Reject masked entries, in an array or in a list of arrays: numpy would read what lies below the mask."""
    parts = values if isinstance(values, list | tuple) else (values,)
    n_masked = sum(int(np.ma.getmaskarray(part).sum()) for part in parts if isinstance(part, np.ma.MaskedArray))
    if n_masked:
        raise ValueError(
            f"{what} must hold no masked entries, got {n_masked}: leave these rows out, or fill them yourself"
        )


def seconds_of(times: ArrayLike) -> ArrayLike:
    """Return moments (datetime64) as seconds since 1970; anything else as it is."""
    check_unmasked(times, "times")
    raw = np.asarray(times)
    if raw.dtype.kind != "M":
        return times
    whole = np.where(np.isnat(raw), np.nan, raw.astype("datetime64[us]").astype(np.int64) / 1e6)
    return cast("ArrayLike", whole)


def moments(times: ArrayLike | None, n_rows: int) -> Float64 | None:
    """Return (n,) float64, finite seconds, moments (datetime64) as seconds since 1970; None stays None."""
    if times is None:
        return None
    seconds: Float64 = vector(seconds_of(times), "times", np.float64, n_rows)
    finite(seconds, "times")
    return seconds


def _first_fault(values: object, dtype: type[np.generic]) -> str:
    """Return where values cannot be read as numbers, or where their rows first differ in length."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        return f"got {values!r:.80}"
    shape = None
    for row, value in enumerate(values):
        try:
            if np.iscomplexobj(value):
                return f"row {row} is {value!r:.80}"
            have = np.asarray(value, dtype=dtype).shape
        except (TypeError, ValueError, OverflowError):
            return f"row {row} is {value!r:.80}"
        if shape not in (None, have):
            return f"row {row} has shape {have}, those before it {shape}"
        shape = have
    return f"got {type(values).__name__}"


def _shaped(array: np.ndarray, what: str, shape: tuple[int | None, ...]) -> np.ndarray:
    have = array.shape
    if len(have) == len(shape):
        for side, want in zip(have, shape, strict=True):
            if want is not None and want != side:
                break
        else:
            return array
    wanted = ", ".join("any" if side is None else str(side) for side in shape)
    raise ValueError(f"{what} must have shape ({wanted}), got {have}")


def finite(array: np.ndarray, what: str, where: Bool | None = None) -> None:
    """Reject NaN and infinity (only where `where` is true when it is given)."""
    if where is None and array.dtype.kind == "f":
        flat = array.ravel()  # a view: arrays come here in C order
        with np.errstate(over="ignore"):
            total = flat.dot(flat)  # one pass, no temporary; it may overflow, but it never hides a bad value
        if isfinite(total):
            return
    bad = ~np.isfinite(array)
    if where is not None:
        bad &= where
    if bad.any():
        refuse(array, bad, what, "must be finite")


def refuse(array: np.ndarray, bad: Bool, what: str, rule: str) -> None:
    """Raise ValueError naming the first row (and column) where `bad` is true, with its value."""
    place = tuple(int(index) for index in np.argwhere(bad)[0])
    where = f"row {place[0]}" + (f", column {place[1]}" if len(place) > 1 else "")
    raise ValueError(f"{what} {rule}: {where} is {array[place]!s} ({int(bad.sum())} such value(s))")


def contexts(values: ArrayLike, n_features: int | None = None, n_rows: int | None = None) -> Float32:
    """Return contexts as (n, d) float32, finite, with d = `n_features` when that is known."""
    array: Float32 = matrix(values, "contexts", np.float32, (n_rows, None))
    if n_features is not None and array.shape[1] != n_features:
        raise ValueError(
            f"contexts must have {n_features} features (the size learned from), got {array.shape[1]}: "
            "encode queries with the encoder used in training"
        )
    if array.shape[1] == 0:
        raise ValueError("contexts must have at least one feature, got shape " + str(array.shape))
    finite(array, "contexts")
    return array


def data_contexts(values: ArrayLike, n_rows: int | None = None) -> Float32:
    """Return `contexts` of rows to learn from: also refuse large values that differ and are one number in float32.

    Times since 1970 are such, in hours and days too. One row that a policy is asked about is not: what it is near to
    was checked here.
    """
    array = contexts(values, n_rows=n_rows)
    raw = np.asarray(values)
    if raw.dtype == np.float32 or len(array) < 2:  # nothing was lost
        return array
    size = np.abs(array).max(axis=0)
    is_coarse = (size >= _LARGE) & (np.ptp(array, axis=0) < _FINE_STEPS * np.spacing(size))
    for column in np.flatnonzero(is_coarse | (size >= _WHOLE_IN_FLOAT32)):
        exact = np.unique(raw[:, column] if raw.dtype.kind in "iuf" else raw[:, column].astype(np.float64))
        if len(np.unique(array[:, column])) < len(exact):
            raise ValueError(
                f"contexts, column {column}: float32 cannot tell all values from {exact[0]:.10g} to {exact[-1]:.10g} "
                "apart: subtract the least value, or scale them (times since 1970: use hours of the day, or days)"
            )
    return array


def actions(values: ArrayLike, n_rows: int, arm_names: tuple[str, ...]) -> Int64:
    """Return actions as (n,) int64, each an index into `arm_names`."""
    raw = plain_array(values, "actions")
    if raw.dtype.kind not in "iu":
        raise TypeError(f"actions must be integers (indices into arm_names), got dtype {raw.dtype}")
    array: Int64 = vector(raw, "actions", np.int64, n_rows)
    low, high = _range(array)
    if low < 0 or high >= len(arm_names):
        bad = (array < 0) | (array >= len(arm_names))
        refuse(array, bad, "actions", f"must be in [0, {len(arm_names) - 1}] (arms: {', '.join(arm_names)})")
    return array


def propensities(values: ArrayLike, n_rows: int) -> Float64:
    """Return propensities as (n,) float64 in (0, 1]; nothing is clipped."""
    array: Float64 = vector(values, "propensities", np.float64, n_rows)
    low, high = _range(array, empty=1.0)
    if not (low > 0 and high <= 1):  # a NaN fails both
        refuse(array, ~((array > 0) & (array <= 1)), "propensities", "must be in (0, 1]")
    return array


def _range(array: np.ndarray, empty: float = 0) -> tuple[float, float]:
    """Return the least and the greatest value; of one value, as a single decision has it, without a reduction."""
    if array.size <= 1:
        value = array.item() if array.size else empty
        return value, value
    return array.min(), array.max()


def availability(values: ArrayLike, n_rows: int, n_arms: int, what: str = "available") -> Bool:
    """Return available as (n, k) bool with at least one arm a row."""
    raw = plain_array(values, what)
    if raw.dtype != np.bool_:
        raise TypeError(f"{what} must be boolean, got dtype {raw.dtype}")
    array: Bool = matrix(raw, what, np.bool_, (n_rows, n_arms))
    none = ~array.any(axis=1)
    if none.any():
        raise ValueError(f"{what} must leave at least one arm: row {int(np.argmax(none))} has none")
    return array


def distribution(values: ArrayLike, what: str, n_rows: int, n_arms: int) -> Float64:
    """Return (n, k) float64 whose rows are probability distributions."""
    array: Float64 = matrix(values, what, np.float64, (n_rows, n_arms))
    bad = ~((array >= 0) & (array <= 1 + PROBABILITY_TOLERANCE))
    if bad.any():
        refuse(array, bad, what, "must be in [0, 1]")
    sums = array.sum(axis=1)
    off = np.abs(sums - 1) > PROBABILITY_TOLERANCE
    if off.any():
        refuse(sums, off, f"{what}' row sums", "must be 1")
    return array


def texts(values: Sequence[str]) -> list[str]:
    """Return texts as a list; refuse a single string, whose letters would be taken for texts."""
    if isinstance(values, str):
        raise TypeError("encode takes a sequence of texts, got one string: pass [text]")
    check_order(values, "texts")
    result = list(values)
    for row, value in enumerate(result):
        if not isinstance(value, str):
            raise TypeError(f"texts must be strings: row {row} is {value!r}")
    return result


def labels(values: Sequence[str | None] | None, what: str, n_rows: int) -> tuple[str | None, ...] | None:
    """Return a label per row as a tuple, or None when there are none."""
    if values is None:
        return None
    check_order(values, what)
    result = tuple(values)
    if len(result) != n_rows:
        raise ValueError(f"{what} must have {n_rows} entries (one a row), got {len(result)}")
    for row, value in enumerate(result):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{what} must be strings or None: row {row} is {value!r}")
    return result


def frozen(array: np.ndarray) -> np.ndarray:
    """Return a read-only view, so that no policy can change the data it learns from."""
    view = array.view()
    view.flags.writeable = False
    return view
