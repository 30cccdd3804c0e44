"""A request's rows of the target's logits, as verification asks for them: in order, up to the first token rejected."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import isfinite
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from speculative.protocols.draft import UnreadProposal
from speculative.protocols.request import Request, TokenLogprob
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.controls import control_logits
from speculative.sampling.controls_on_device import DeviceControls


class InvalidLogitsError(ValueError):
    """The target's logits hold NaN, or nothing that could be chosen.

    Attributes:
        n_accepted: draft tokens accepted before.
    """

    def __init__(self, message: str, n_accepted: int) -> None:
        super().__init__(message)
        self.n_accepted = n_accepted


PickRows = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Gives (n,) tokens of a request's (n, v) rows and the (n - 1,) draft tokens that they come after."""


_NO_PICK = -1  # from a row that allows none once controls are applied


class DrawnRows(NamedTuple):
    """What draft tokens on a card were drawn from: probabilities (n, v) float64, and which of them count, (n,) bool."""

    probs: torch.Tensor
    is_drawn: torch.Tensor | None = None


LargestLogits = Callable[[int], tuple[float, int]]  # of row i: its largest logit, and the id it belongs to


class TargetRows:
    """A request's rows of the target's logits; a row is looked at only when its turn comes.

    Args:
        logits: (n, v) float, of a whole pass.
        largest: gives a row's largest logit and the id it belongs to.
        first: the request's first row; the callers ask for no more rows than it has.
        picks: the token that the request's sampler picks from each of its rows, where they were found on the device.

    Attributes:
        picks: as given.
    """

    picks: Sequence[int] | None = None

    def __init__(
        self, logits: torch.Tensor, largest: LargestLogits, first: int = 0, picks: Sequence[int] | None = None
    ) -> None:
        self._logits, self._largest, self._first, self.picks = logits, largest, first, picks

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
            raise _not_finite(value, i)
        return token

    def picked(self, i: int) -> int:
        """Return the token that the request's sampler has picked after i draft tokens.

        Raises:
            InvalidLogitsError: if no token can be chosen.
        """
        self.best(i)
        assert self.picks is not None
        if self.picks[i] == _NO_PICK:
            raise InvalidLogitsError("the largest logit must be finite once all controls are applied", i)
        return self.picks[i]

    def logprob(self, i: int, token: int, n_best: int) -> TokenLogprob:
        """Return the log-probability of the token chosen after i draft tokens, and the `n_best` best ones beside it."""
        logprobs = torch.log_softmax(self.row(i).float(), dim=0)
        best = logprobs.topk(min(n_best, len(logprobs)))
        pairs = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        return TokenLogprob(token, float(logprobs[token]), pairs)


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
            raise _not_finite(row.item(token), i)
        return token


def _not_finite(value: float, i: int) -> InvalidLogitsError:
    return InvalidLogitsError(f"the target's largest logit must be finite, got {value}", i)


def target_rows(logits: torch.Tensor, counts: Sequence[int], n_tokens: int) -> list[TargetRows]:
    """Return each request's rows of a pass.

    Args:
        logits: (n, v) float, of all requests.
        counts: rows of each request.
        n_tokens: ids from here on are padding and cut off.
    """
    if n_tokens < logits.shape[1]:
        logits = logits[:, :n_tokens]
    firsts = accumulate(counts[:-1], initial=0)
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        rows = logits.numpy()
        return [HostRows(logits, rows, first) for first in firsts]
    largest = largest_logits(logits)
    return [TargetRows(logits, largest, first) for first in firsts]


def rows_read_once(
    logits: torch.Tensor, batch: TokenBatch, pickers: Sequence[PickRows | None], unread: Sequence[UnreadProposal]
) -> list[TargetRows]:
    """Return each request's rows of a pass on a card; all that the host needs of the round is read in one copy.

    Args:
        logits: (n, v) float, padding cut off.
        batch: the pass's tokens: of each request the text's last one, then its draft tokens.
        pickers: of each request, what picks a token from each of its rows.
        unread: proposals to be read with it.
    """
    counts, token_ids = batch.counts, batch.token_ids
    firsts = list(accumulate(counts[:-1], initial=0))
    picked = [
        None if pick is None else pick(logits[first : first + n], token_ids[first + 1 : first + n])
        for pick, first, n in zip(pickers, firsts, counts, strict=True)
    ]
    drafted = [proposal.values() for proposal in unread]
    found = [*logits.max(-1), *(picks for picks in picked if picks is not None), *drafted]
    read = torch.cat([column.double() for column in found]).tolist()  # ids are exact below 2**53
    n = len(logits)
    values, best, rest = read[:n], read[n : 2 * n], iter(read[2 * n :])
    own = [None if picks is None else [int(next(rest)) for _ in range(len(picks))] for picks in picked]
    for proposal, values_of in zip(unread, drafted, strict=True):
        proposal.take([next(rest) for _ in range(len(values_of))])
    largest: LargestLogits = lambda i: (values[i], int(best[i]))  # noqa: E731
    return [TargetRows(logits, largest, first, picks) for first, picks in zip(firsts, own, strict=True)]


def controlled_picker(controls: DeviceControls, pick: PickRows | None) -> PickRows:
    """Return what picks from rows once controls are applied to them: by `pick`, or the best token."""

    def picked(rows: torch.Tensor, draft_tokens: torch.Tensor) -> torch.Tensor:
        controlled = controls.apply(rows, draft_tokens)
        largest, best = controlled.max(-1)
        chosen = best if pick is None else pick(controlled, draft_tokens)
        return torch.where(largest.isfinite(), chosen, _NO_PICK)

    return picked


def largest_logits(logits: torch.Tensor) -> LargestLogits:
    """Each row's largest logit, NaN where there is one, and where it stands: on a CPU found when asked for."""
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
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
        return _best(self._computed[i], i)


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
        _best(controlled, i)
        return controlled

    def best(self, i: int) -> int:
        """Return the likeliest token after i draft tokens, controls applied; see `TargetRows`."""
        return _best(self._controlled(i), i)

    def _controlled(self, i: int) -> torch.Tensor:
        request, before = self._request, self._text[: self._n_prefix + i]
        raw = self._rows.row(i).float()
        try:
            return control_logits(raw, request.sampling, before, len(request.token_ids), request.eos_ids)
        except Exception as error:  # a logits processor is somebody else's code, and may fail one request only
            raise InvalidLogitsError(f"{type(error).__name__} in a logits processor: {error}", i) from error


def _best(row: torch.Tensor, i: int) -> int:
    value, token = largest_logits(row[None])(0)
    if not isfinite(value):
        raise InvalidLogitsError(f"the largest logit must be finite once all controls are applied, got {value}", i)
    return token
