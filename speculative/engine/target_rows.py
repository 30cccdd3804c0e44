"""A request's rows of the target's logits, as verification asks for them: in order, up to the first token rejected."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import isfinite

import numpy as np
import numpy.typing as npt
import torch

from speculative.protocols.request import Request, TokenLogprob
from speculative.sampling.acceptance import NO_PICK
from speculative.sampling.controls import control_logits

_OWN_RULE = "the target's largest logit must be finite"
_CONTROLLED_RULE = "the largest logit must be finite once all controls are applied"


class InvalidLogitsError(ValueError):
    """The target's logits hold NaN, or nothing that could be chosen.

    Attributes:
        n_accepted: draft tokens accepted before.
    """

    def __init__(self, message: str, n_accepted: int) -> None:
        super().__init__(message)
        self.n_accepted = n_accepted


LargestLogits = Callable[[int], tuple[float, int]]  # of row i: its largest logit, and the id it belongs to


class TargetRows:
    """A request's rows of the target's logits; a row is looked at only when its turn comes.

    Args:
        logits: (n, v) float, of a whole pass.
        largest: gives a row's largest logit and the id it belongs to.
        first: the request's first row; the callers ask for no more rows than it has.
    """

    def __init__(self, logits: torch.Tensor, largest: LargestLogits, first: int = 0) -> None:
        self._logits, self._largest, self._first = logits, largest, first

    def row(self, i: int) -> torch.Tensor:
        """Logits (v,) after i draft tokens.

        Raises:
            InvalidLogitsError: if no token can be chosen from them.
        """
        self.best(i)
        return self._logits[self._first + i]

    def best(self, i: int) -> int:
        """Return the likeliest token after i draft tokens.

        Raises:
            InvalidLogitsError: if no token can be chosen.
        """
        value, token = self._largest(self._first + i)
        if not isfinite(value):
            raise InvalidLogitsError(f"{_OWN_RULE}, got {value}", i)
        return token

    def logprob(self, i: int, token: int, n_best: int) -> TokenLogprob:
        """Return the log-probability of the token chosen after i draft tokens, and the `n_best` best ones beside it."""
        logprobs = torch.log_softmax(self.row(i).float(), dim=0)
        best = logprobs.topk(min(n_best, len(logprobs)))
        pairs = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        return TokenLogprob(token, float(logprobs[token]), pairs)


class RowsOnCard(TargetRows):
    """Rows on a card, from which tokens were picked there: as many as are to be committed.

    Args:
        logits: (n, v) float, the request's own.
        picks: the draft tokens accepted, then the next token; `NO_PICK` where its row allows none.
    """

    def __init__(self, logits: torch.Tensor, picks: Sequence[int]) -> None:
        super().__init__(logits, lambda i: largest_logits(logits)(i))
        self._picks = picks

    def row(self, i: int) -> torch.Tensor:
        """Logits (v,) after i draft tokens; see `TargetRows`."""
        return self._logits[i] if self._picks[i] != NO_PICK else super().row(i)

    def picked(self, i: int) -> int:
        """Return the token that was picked after i draft tokens.

        Raises:
            InvalidLogitsError: if no token can be chosen.
        """
        if self._picks[i] == NO_PICK:
            self.best(i)  # unless it is the controls that allow none
            raise InvalidLogitsError(_CONTROLLED_RULE, i)
        return self._picks[i]


class HostRows(TargetRows):
    """Rows of float32 in the host's memory, in which NumPy finds the largest entry up to ten times as fast as torch.

    Args:
        logits: (n, v) float32, of a whole pass.
        rows: the same memory.
        first: the request's first row.
    """

    def __init__(self, logits: torch.Tensor, rows: npt.NDArray[np.float32], first: int = 0) -> None:
        self._logits, self._rows, self._first = logits, rows, first

    def best(self, i: int) -> int:
        """Return the likeliest token after i draft tokens; see `TargetRows`."""
        row = self._rows[self._first + i]
        token = int(row.argmax())
        if not isfinite(row.item(token)):
            raise InvalidLogitsError(f"{_OWN_RULE}, got {row.item(token)}", i)
        return token


def target_rows(logits: torch.Tensor, counts: Sequence[int], n_tokens: int) -> list[TargetRows]:
    """Return each request's rows of a pass.

    Args:
        logits: (n, v) float, of all requests.
        counts: rows of each request.
        n_tokens: ids from here on are padding and cut off.
    """
    if n_tokens < logits.shape[1]:
        logits = logits[:, :n_tokens]
    firsts = [0, *accumulate(counts[:-1])] if len(counts) > 1 else [0]
    if logits.is_cpu and logits.dtype == torch.float32:
        rows = logits.numpy()
        return [HostRows(logits, rows, first) for first in firsts]
    largest = largest_logits(logits)
    return [TargetRows(logits, largest, first) for first in firsts]


def largest_logits(logits: torch.Tensor) -> LargestLogits:
    """Each row's largest logit, NaN where there is one, and where it stands: on a CPU found when asked for."""
    if logits.is_cpu and logits.dtype == torch.float32:
        rows = logits.numpy()

        def of_row(i: int) -> tuple[float, int]:
            token = int(rows[i].argmax())  # NaN is the largest
            return rows[i].item(token), token

        return of_row
    values, ids = torch.stack([column.double() for column in logits.max(-1)]).tolist()  # one copy to the host
    return lambda i: (values[i], int(ids[i]))


class RowsOnDemand(TargetRows):
    """Rows that are computed when asked for, each once and in order.

    Args:
        compute: gives the logits (v,) after i draft tokens, i rising.
    """

    def __init__(self, compute: Callable[[int], torch.Tensor]) -> None:
        self._compute = compute
        self._computed: list[torch.Tensor] = []

    def row(self, i: int) -> torch.Tensor:
        """Logits (v,) after i draft tokens; see `TargetRows`."""
        self.best(i)
        return self._computed[i]

    def best(self, i: int) -> int:
        """Return the likeliest token after i draft tokens; see `TargetRows`."""
        while len(self._computed) <= i:
            self._computed.append(self._compute(len(self._computed)))
        return _best(self._computed[i], i, _OWN_RULE)


class ControlledRows(TargetRows):
    """Rows to which a request's controls have been applied: bias, penalties, bad words, a least length, processors.

    Args:
        rows: the target's own.
        request: whose controls.
        prefix: prompt and committed tokens.
        draft_tokens: those that the rows come after.
    """

    def __init__(self, rows: TargetRows, request: Request, prefix: Sequence[int], draft_tokens: Sequence[int]) -> None:
        self._rows, self._request = rows, request
        self._text, self._n_prefix = [*prefix, *draft_tokens], len(prefix)

    def row(self, i: int) -> torch.Tensor:
        """Logits (v,) after i draft tokens, controls applied; see `TargetRows`."""
        controlled = self._controlled(i)
        _best(controlled, i, _CONTROLLED_RULE)
        return controlled

    def best(self, i: int) -> int:
        """Return the likeliest token after i draft tokens, controls applied; see `TargetRows`."""
        return _best(self._controlled(i), i, _CONTROLLED_RULE)

    def _controlled(self, i: int) -> torch.Tensor:
        request, before = self._request, self._text[: self._n_prefix + i]
        raw = self._rows.row(i).float()
        try:
            return control_logits(raw, request.sampling, before, len(request.token_ids), request.eos_ids)
        except Exception as error:  # a logits processor is somebody else's code, and may fail one request only
            raise InvalidLogitsError(f"{type(error).__name__} in a logits processor: {error}", i) from error


def _best(row: torch.Tensor, i: int, rule: str) -> int:
    value, token = largest_logits(row[None])(0)
    if not isfinite(value):
        raise InvalidLogitsError(f"{rule}, got {value}", i)
    return token
