"""The loop of all drafts that have logits: draft tokens of several requests in the same passes."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from speculative.drafts.drafting_on_card import draft_on_card
from speculative.drafts.logits_draft import READ_CHUNK, LogitsDraft
from speculative.drafts.stopping import Confidence
from speculative.protocols.draft import Answer, DraftAsk, Proposal
from speculative.sampling.logits import best_of_rows, largest_of_rows
from speculative.sampling.pinned import without_waiting
from speculative.sampling.token_sampler import GREEDY

_READ_TOGETHER = 64  # tokens: who has more to read, reads in passes of its own, in which no shorter row is padded

Pass = Callable[[Sequence[int], torch.Tensor, Sequence[int]], torch.Tensor]
"""Reads on: which of the requests, their tokens (n,) one request after the other, how many of each; gives the logits
(requests, v) after each one's last token."""


@dataclass(slots=True)
class _Turn:
    """One request in the loop: what was drafted, and of each row that was looked at its largest logit."""

    ask: DraftAsk
    confidence: Confidence
    drafted: list[torch.Tensor] = field(default_factory=list)
    largest: list[torch.Tensor] = field(default_factory=list)
    error: Exception | None = None


def propose_together(
    draft: LogitsDraft,
    asks: Sequence[DraftAsk],
    n_read: Sequence[int],
    catch_up: Callable[[], torch.Tensor],
    go_on: Pass,
) -> list[Answer]:
    """Draft for several requests, a pass a token; those that are done drop out, and an error is its request's own.

    Args:
        draft: says what may be proposed, and where to stop.
        asks: one a request.
        n_read: tokens of each prefix that have to be read first.
        catch_up: reads them, and gives the logits (requests, v) of the first draft token.
        go_on: reads draft tokens, one a request.
    """
    if all(ask.unread for ask in asks):
        return draft_on_card(draft, asks, n_read, catch_up, go_on)
    begin = time.perf_counter()
    logits = catch_up()
    read_s = (time.perf_counter() - begin) / len(asks)
    turns = [_Turn(ask, Confidence(draft.min_confidence)) for ask in asks]
    going = list(range(len(asks)))
    while going:
        picked = _pick(draft, logits, [turns[i] for i in going])
        going = [i for i, token in zip(going, picked, strict=True) if token is not None and not _is_done(turns[i])]
        if going:
            token_ids = (
                torch.cat([turns[i].drafted[-1] for i in going]) if len(going) > 1 else turns[going[0]].drafted[-1]
            )
            logits = go_on(going, token_ids, [1] * len(going))
    found = zip(_token_ids(draft, turns), n_read, strict=True)
    return [ids if isinstance(ids, Exception) else Proposal(ids, n, read_s) for ids, n in found]


def read_at_least(ask: DraftAsk, device: torch.device) -> int:
    """Return how many of a prefix's last tokens a draft reads before it drafts, known ones again.

    On a card as many as the round before may have committed, so that what is launched does not depend on what was
    accepted; elsewhere the last one.
    """
    return 1 if device.type == "cpu" else ask.draft_length + 1


def read_missing(missing: Sequence[Sequence[int]], device: torch.device, read: Pass) -> torch.Tensor:
    """Read the tokens that each request lacks, at least one each: the logits (requests, v) after their last ones."""
    alone = [i for i, token_ids in enumerate(missing) if len(missing) == 1 or len(token_ids) > _READ_TOGETHER]
    rows: dict[int, torch.Tensor] = {}
    for i in alone:
        for chunk in torch.split(without_waiting(torch.tensor(missing[i]), device), READ_CHUNK):
            rows[i] = read([i], chunk, [len(chunk)])
        if len(missing) == 1:
            return rows[i]
        rows[i] = rows[i].clone()  # the next pass may be a graph, which writes over what the last one gave
    rest = [i for i in range(len(missing)) if i not in rows]
    if rest:
        token_ids = torch.tensor([token for i in rest for token in missing[i]])
        logits = read(rest, without_waiting(token_ids, device), [len(missing[i]) for i in rest])
        if not alone:
            return logits
        rows |= {i: row[None] for i, row in zip(rest, logits, strict=True)}
    return torch.cat([rows[i] for i in range(len(missing))])


def proposal_of(found: Answer) -> Proposal:
    """Return a proposal that was asked to be read; raise an error."""
    if isinstance(found, Exception):
        raise found
    assert isinstance(found, Proposal)
    return found


def _is_done(turn: _Turn) -> bool:
    return len(turn.drafted) == turn.ask.draft_length


def _pick(draft: LogitsDraft, logits: torch.Tensor, turns: Sequence[_Turn]) -> list[torch.Tensor | None]:
    """Pick each request's next draft token, (1,) its own ids; None where it has none."""
    rows, largest = draft.allowed(logits), largest_of_rows(logits)  # NaN where any logit is
    greedy = draft.own_ids(best_of_rows(rows)) if any(turn.ask.sampler is GREEDY for turn in turns) else None
    picked: list[torch.Tensor | None] = []
    for i, turn in enumerate(turns):
        turn.largest.append(largest[i : i + 1])
        token = None
        if not turn.confidence.falls_below(rows[i : i + 1]):
            try:
                if greedy is not None and turn.ask.sampler is GREEDY:
                    token = greedy[i : i + 1]
                else:
                    position = len(turn.ask.prefix) + len(turn.drafted)
                    token = draft.own_ids(turn.ask.sampler.pick(rows[i], position, draft.entry_ids)[None])
                turn.drafted.append(token)
            except Exception as error:
                turn.error = error
        picked.append(token)
    return picked


def _token_ids(draft: LogitsDraft, turns: Sequence[_Turn]) -> Iterator[list[int] | Exception]:
    """Yield each request's draft tokens, all read at once, or what kept it from any."""
    drafted = [token for turn in turns for token in turn.drafted]
    values = [value.double() for turn in turns for value in turn.largest]
    if drafted:
        values.append(draft.to_target(torch.cat(drafted)).double())  # exact below 2**53
    found = torch.cat(values).tolist()
    n_values = len(found) - len(drafted)
    sound, token_ids = iter(found[:n_values]), iter(found[n_values:])
    for turn in turns:
        is_sound = math.isfinite(sum(next(sound) for _ in turn.largest))
        own = [int(next(token_ids)) for _ in turn.drafted]
        if turn.error is not None:
            yield turn.error
        elif not is_sound:
            yield FloatingPointError(f"draft {draft.name!r}: its logits hold NaN or infinity")
        else:
            yield own
