"""The loop on a card: draft tokens that nobody reads before the target has verified them, picked for all at once."""

import time
from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from speculative.drafts.logits_draft import LogitsDraft
from speculative.protocols.draft import Answer, DraftAsk, Proposal, UnreadProposal
from speculative.protocols.draft_trace import BestTokens
from speculative.protocols.unread_tokens import UnreadTokens
from speculative.sampling.logits import largest_of_rows
from speculative.sampling.pick_program import Picked, PickProgram, numbers_there
from speculative.sampling.pinned import without_waiting


def draft_on_card(
    draft: LogitsDraft,
    asks: Sequence[DraftAsk],
    n_read: Sequence[int],
    catch_up: Callable[[], Tensor],
    go_on: Callable[[Sequence[int], Tensor, Sequence[int]], Tensor],
) -> list[Answer]:
    """Draft for several requests to the length that each asked for; arguments as in `propose_together`.

    What a draft that stops below a confidence would leave out is left out when its tokens are read.
    """
    begin = time.perf_counter()
    logits = catch_up()
    read_s = (time.perf_counter() - begin) / len(asks)
    lengths = [ask.draft_length for ask in asks]
    steps = [[i for i, n in enumerate(lengths) if n > j] for j in range(max(lengths))]
    picking = _Picking(draft, asks)
    tokens, largest, sure = list[Tensor](), list[Tensor](), list[Tensor]()
    for j, going in enumerate(steps):
        if j:
            logits = go_on(going, _of(tokens[-1], steps[j - 1], going), [1] * len(going))
        rows = draft.allowed(logits)
        largest.append(largest_of_rows(logits))  # NaN where any logit is
        if draft.min_confidence:
            sure.append(BestTokens.of(rows).probabilities)
        tokens.append(picking.pick(j, going, rows))
    tables = [tokens, largest, *([sure] if sure else [])]
    found: list[Answer | None] = [picking.errors.get(i) for i in range(len(asks))]
    for members in picking.batches():
        table = [_table(steps, columns, members, lengths) for columns in tables]
        masses, probs = picking.drawn_from(members, max(lengths))
        batch = UnreadTokens(
            draft.to_target(table[0]),
            [lengths[i] for i in members],
            table[1],
            table[2].double().cumprod(1) >= draft.min_confidence if sure else None,
            masses,
            probs,
        )
        for k, i in enumerate(members):
            found[i] = UnreadProposal(draft.name, batch, k, Proposal([], n_read[i], read_s), asks[i].sampler)
    return [answer for answer in found if answer is not None]


def _of(rows: Tensor, had: Sequence[int], wanted: Sequence[int]) -> Tensor:
    """Return what is of some of the requests that rows are of."""
    return rows if len(had) == len(wanted) else torch.cat([rows[k : k + 1] for k in map(had.index, wanted)])


def _table(
    steps: Sequence[Sequence[int]], columns: Sequence[Tensor], members: Sequence[int], lengths: Sequence[int]
) -> Tensor:
    """Lay what was found at each step out as a row a member; beyond its length its last value again."""
    if all(len(going) == len(members) for going in steps):
        return torch.stack([*columns], 1)
    firsts = [*accumulate((len(going) for going in steps), initial=0)]
    places = [
        [firsts[j] + steps[j].index(i) for j in (min(k, lengths[i] - 1) for k in range(len(steps)))] for i in members
    ]
    return torch.cat([*columns])[without_waiting(torch.tensor(places), columns[0].device)]


class _Picking:
    """Picks for all requests whose samplers have one program at once, and one by one where they have none.

    Attributes:
        errors: by a request's number, what its own sampler raised; what is picked for it then says nothing.
    """

    def __init__(self, draft: LogitsDraft, asks: Sequence[DraftAsk]) -> None:
        self._draft, self._asks, self.errors = draft, asks, dict[int, Exception]()
        kinds: dict[PickProgram | None, list[int]] = {}
        for i, ask in enumerate(asks):
            kinds.setdefault(ask.sampler.program(), []).append(i)
        self._alone = kinds.get(None, [])
        self._kinds = [
            (program, members, self._numbers(members)) for program, members in kinds.items() if program is not None
        ]

    def pick(self, j: int, going: Sequence[int], rows: Tensor) -> Tensor:
        """Pick the j-th draft token of the requests that are going on, from their rows (n, v): (n,) the draft's ids."""
        entries: dict[int, Tensor] = {}
        for program, members, numbers in self._kinds:
            own = [i for i in members if i in going]
            if not own:
                continue
            picked = program.pick(_of(rows, going, own), numbers[j] if numbers else None, self._draft.entry_ids)
            self._keep(own, picked)
            if len(own) == len(going):
                return self._draft.own_ids(picked.entries)
            entries |= zip(own, torch.split(picked.entries, 1), strict=True)
        for i in self._alone:
            if i in going:
                entries[i] = self._picked_alone(i, j, rows[going.index(i)])
        return self._draft.own_ids(torch.cat([entries[i] for i in going]))

    def _picked_alone(self, i: int, j: int, row: Tensor) -> Tensor:
        try:
            return self._asks[i].sampler.pick(row, len(self._asks[i].prefix) + j, self._draft.entry_ids)[None]
        except Exception as error:
            self.errors.setdefault(i, error)
            return row.new_zeros(1, dtype=torch.int64)

    def batches(self) -> list[list[int]]:
        """Return who can be read together: those whose tokens were drawn, and the others; none who raised."""
        sound = [i for i in range(len(self._asks)) if i not in self.errors]
        drawn = [i for i in sound if self._asks[i].sampler.drawing() is not None]
        return [members for members in (drawn, [i for i in sound if i not in drawn]) if members]

    def drawn_from(self, members: Sequence[int], n: int) -> tuple[Tensor | None, Tensor | None]:
        """Return the masses (b, n) and distributions (b, n, v) that n tokens of each were drawn from, if they were."""
        drawing = [own for i in members if (own := self._asks[i].sampler.drawing()) is not None]
        if not drawing:
            return None, None
        masses = torch.stack([own.masses[min(k, len(own.masses) - 1)] for own in drawing for k in range(n)])
        probs = torch.stack([own.probs[min(k, len(own.probs) - 1)] for own in drawing for k in range(n)])
        return masses.view(len(drawing), n), probs.view(len(drawing), n, -1)

    def _keep(self, own: Sequence[int], picked: Picked) -> None:
        if picked.probs is None or picked.masses is None:
            return
        ids = self._draft.entry_ids
        token_ids = picked.entries if ids is None else ids[picked.entries]
        for k, i in enumerate(own):
            sampler = self._asks[i].sampler.drawing()
            assert sampler is not None
            sampler.keep(token_ids[k : k + 1], picked.probs[k : k + 1], picked.masses[k : k + 1])

    def _numbers(self, members: Sequence[int]) -> Sequence[Tensor]:
        """Copy what the samplers' program is told to the card, at once: of each step, of the requests still going."""
        asks = [self._asks[i] for i in members]
        of_each = [ask.sampler.numbers(len(ask.prefix), ask.draft_length) for ask in asks]
        longest = max(len(own) for own in of_each)
        of_steps = [[own[j] for own in of_each if len(own) > j] for j in range(longest)]
        there = numbers_there([number for own in of_steps for number in own], self._device())
        return () if there is None else torch.split(there, [len(own) for own in of_steps])

    def _device(self) -> torch.device:
        assert self._draft.device is not None
        return self._draft.device
