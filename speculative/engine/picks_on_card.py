"""What the host learns of a round on a card: how much of each draft is accepted and the token after it, in one read."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple, cast

import torch
from torch import Tensor

from speculative.engine.target_rows import RowsOnCard, TargetRows, largest_logits
from speculative.engine.verify import Verifier
from speculative.protocols.causal_lm import ForwardOutput
from speculative.protocols.draft import UnreadProposal
from speculative.protocols.token_batch import TokenBatch
from speculative.protocols.unread_tokens import UnreadTokens
from speculative.sampling.acceptance import accepted_of_rows
from speculative.sampling.controls_on_device import DeviceControls
from speculative.sampling.pick_program import BestWithNoise, numbers_there
from speculative.sampling.picks_of_pass import AskedPicks, PicksOfPass
from speculative.sampling.token_sampler import DraftTokens


class PickAsk(NamedTuple):
    """What a request asks of its rows.

    Attributes:
        verifier: the request's; it has a program.
        position: of the first row's token.
        drafted: the round's draft tokens, where the host knows them.
        unread: where it does not.
        controls: to be applied to the rows before.
    """

    verifier: Verifier
    position: int
    drafted: DraftTokens
    unread: UnreadProposal | None = None
    controls: DeviceControls | None = None


class _Pass(NamedTuple):
    """Rows of a pass, (n, v), and the tokens that they come after, (n,); where each request's begin, and the end."""

    rows: Tensor
    token_ids: Tensor
    bounds: Sequence[int]

    def of(self, i: int) -> slice:
        return slice(self.bounds[i], self.bounds[i + 1])


def with_picks(batch: TokenBatch, asks: Sequence[PickAsk | None], n_tokens: int) -> TokenBatch:
    """Let a round's pass itself pick and accept, where all requests are greedy, or coupled at one temperature.

    Args:
        batch: the pass's tokens: of each request the text's last one, then its draft tokens.
        asks: of each request, see `rows_read_once`; none where rows are the host's.
        n_tokens: ids from here on are padding.
    """
    if not asks:
        return batch
    alike = [ask for ask in asks if ask is not None and ask.controls is None]
    kinds = {ask.verifier.kind() for ask in alike}
    if len(alike) < len(asks) or len(kinds) > 1:
        return batch
    noise = kinds.pop()
    if noise is not None and not isinstance(noise, BestWithNoise):
        return batch
    given = zip(alike, batch.counts, strict=True)
    numbers = [number for ask, n in given for number in ask.verifier.numbers(ask.position, n)]
    return batch._replace(picks=AskedPicks(PicksOfPass(noise, n_tokens), cast(list[int], numbers)))


def rows_read_once(
    output: ForwardOutput, batch: TokenBatch, asks: Sequence[PickAsk | None], n_tokens: int
) -> list[TargetRows]:
    """Return each request's rows of a pass on a card; all that the host needs of the round is read in one copy.

    Args:
        output: of the pass; its first rows are the requests'.
        batch: their tokens: of each request the text's last one, then its draft tokens.
        asks: of each request; None where the host has to pick, for which it waits once more.
        n_tokens: ids from here on are padding and cut off.
    """
    counts, bounds = batch.counts, list(accumulate(batch.counts, initial=0))
    logits, out = output.logits[: bounds[-1], :n_tokens], output.accepted
    raw = _Pass(logits, batch.token_ids, bounds)
    if out is None:
        own = raw._replace(rows=_controlled(raw, asks))
        largest, best = own.rows.max(-1)
        out = accepted_of_rows(_picked(own, best, asks), largest, batch.token_ids, counts)
    unread = [None if ask is None else ask.unread for ask in asks]
    found = _read(out, unread)
    of_host = None if None not in asks else largest_logits(logits)
    rows: list[TargetRows] = []
    for i, ask in enumerate(asks):
        n_accepted, next_token, *drafted = found[i]
        if (proposal := unread[i]) is not None:
            proposal.take(drafted)
        if ask is None:
            assert of_host is not None
            rows.append(TargetRows(logits, of_host, bounds[i]))
        else:
            rows.append(RowsOnCard(logits[raw.of(i)], [*drafted[:n_accepted], next_token]))
    return rows


def _controlled(raw: _Pass, asks: Sequence[PickAsk | None]) -> Tensor:
    """Apply each request's controls to its rows."""
    if all(ask is None or ask.controls is None for ask in asks):
        return raw.rows
    parts = []
    for i, ask in enumerate(asks):
        rows, tokens = raw.rows[raw.of(i)], raw.token_ids[raw.of(i)]
        parts.append(rows.float() if ask is None or ask.controls is None else ask.controls.apply(rows, tokens[1:]))
    return torch.cat(parts)


def _picked(own: _Pass, best: Tensor, asks: Sequence[PickAsk | None]) -> Tensor:
    """Pick from each row, for all requests of one kind at once."""
    kinds: dict[object, list[int]] = {}
    for i, ask in enumerate(asks):
        kinds.setdefault(None if ask is None else ask.verifier.kind(), []).append(i)
    parts = [best[own.of(i)] for i in range(len(asks))]
    for kind, members in kinds.items():
        if kind is None:
            continue
        picks = _picked_alike(own, members, [ask for i in members if (ask := asks[i]) is not None])
        if len(kinds) == 1:
            return picks
        sizes = [own.bounds[i + 1] - own.bounds[i] for i in members]
        for i, part in zip(members, torch.split(picks, sizes), strict=True):
            parts[i] = part
    return best if len(kinds) == 1 else torch.cat(parts)


def _picked_alike(own: _Pass, members: Sequence[int], asks: Sequence[PickAsk]) -> Tensor:
    """Pick from the rows of requests of one kind: (m,)."""
    bounds, verifier = own.bounds, asks[0].verifier
    counts = [bounds[i + 1] - bounds[i] for i in members]
    rows, tokens = own.rows, own.token_ids
    if len(rows) > sum(counts):
        rows = torch.cat([rows[own.of(i)] for i in members])
        tokens = torch.cat([tokens[own.of(i)] for i in members])
    given = zip(asks, counts, strict=True)
    numbers = [number for ask, n in given for number in ask.verifier.numbers(ask.position, n)]
    return verifier.picks(rows, numbers_there(numbers, rows.device), lambda: _drafted(rows, tokens, asks, counts))


def _drafted(
    rows: Tensor, tokens: Tensor, asks: Sequence[PickAsk], counts: Sequence[int]
) -> tuple[Tensor, Tensor] | None:
    """Return the draft token after each row, (n,), and what it was drawn from, (n, v), zeros after a whole draft.

    None where nobody has drafted.
    """
    if max(counts) == 1:
        return None
    following, device = tokens.roll(-1), rows.device
    probs = [ask.drafted.probs if ask.unread is None else ask.unread.probs for ask in asks]
    certain = [float(own is None and k + 1 < n) for own, n in zip(probs, counts, strict=True) for k in range(n)]
    shares = numbers_there(certain, device)
    assert shares is not None
    found = torch.zeros(rows.shape, dtype=torch.float64, device=device).scatter_(1, following[:, None], shares[:, None])
    if all(own is None for own in probs):
        return following, found
    parts: list[Tensor] = []
    for own, part in zip(probs, torch.split(found, list(counts)), strict=True):
        if own is None:
            parts.append(part)
        else:
            parts += [own if isinstance(own, Tensor) else torch.stack([*own]), part[-1:]]
    return following, torch.cat(parts)


def _read(out: Tensor, unread: Sequence[UnreadProposal | None]) -> list[list[int]]:
    """Read what was accepted, and what tells whether drafts are sound: one wait."""
    batches: list[UnreadTokens] = []
    for proposal in unread:
        if proposal is not None and all(proposal.batch is not other for other in batches):
            batches.append(proposal.batch)
    if not batches:
        return out.tolist()
    columns = [batch.columns() for batch in batches]
    values = torch.cat([out.double().flatten(), *(column for own in columns for column in own)]).tolist()
    rest = iter(values[out.numel() :])
    for batch, own in zip(batches, columns, strict=True):
        batch.take([[next(rest) for _ in range(len(column))] for column in own])
    n = out.shape[1]
    return [[int(value) for value in values[i : i + n]] for i in range(0, out.numel(), n)]
