"""One round's drafting: requests of one draft in the same passes, where the draft knows how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from speculative.engine.active_request import Running
from speculative.engine.round_clock import RoundClock
from speculative.protocols.draft import Draft, DraftAsk, DraftingArm, UnreadProposal
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.pinned import without_waiting
from speculative.sampling.token_sampler import NO_TOKENS, DraftTokens

_ONE: Sequence[Sequence[int]] = ((0,),)


@dataclass(slots=True)
class Drafted:
    """One request's draft tokens.

    Attributes:
        arm: the arm that drafted.
        tokens: what is to be verified; none as long as they are unread.
        unread: tokens that are still on the card.
        asked: what the draft was asked for.
    """

    arm: DraftingArm
    tokens: DraftTokens = NO_TOKENS
    unread: UnreadProposal | None = None
    asked: DraftAsk | None = None

    @property
    def n_tokens(self) -> int:
        """Tokens proposed."""
        return len(self.tokens.token_ids) if self.unread is None else len(self.unread.token_ids)

    def settle(self, state: Running) -> None:
        """Take what was read with the target's pass: the row holds it, and the text's last token."""
        if self.unread is not None and self.asked is not None:
            self.tokens = state.settle(self.arm.draft, self.asked, self.unread.found, len(state.tokens))


def propose_all(
    states: Sequence[Running], arms: Sequence[DraftingArm], clock: RoundClock, *, together: bool
) -> list[Drafted]:
    """Let each request's arm propose.

    Args:
        states: the requests.
        arms: one a request.
        clock: told whose drafting has ended.
        together: whether requests may share passes; what a draft proposes then depends, by rounding, on the others.
    """
    drafted, groups = [Drafted(arm) for arm in arms], _ONE
    if len(arms) > 1:
        clock.drafted(range(len(arms)))
        groups = _groups(arms, together)
    for requests in groups:
        draft = arms[requests[0]].draft
        asked: dict[int, DraftAsk] = {}
        for i in requests:
            ask = states[i].ask(draft, arms[i].draft_length)
            if ask is not None:
                asked[i] = ask
        if asked:
            _settle(states, drafted, asked, _found(draft, [*asked.values()]))
        clock.drafted([*asked] or requests)
    return drafted


def _settle(
    states: Sequence[Running],
    drafted: Sequence[Drafted],
    asked: Mapping[int, DraftAsk],
    answers: Sequence[object],
) -> None:
    """Put what was answered beside the arms; an interrupt is raised once every row is in order."""
    raised: list[BaseException] = []
    for (i, ask), answer in zip(asked.items(), answers, strict=True):
        each = drafted[i]
        try:
            if isinstance(answer, UnreadProposal):
                states[i].hold()
                each.unread, each.asked = answer, ask
            else:
                each.tokens = states[i].settle(each.arm.draft, ask, answer)
        except BaseException as error:
            raised.append(error)
    if raised:
        raise raised[0]


def batch_to_verify(states: Sequence[Running], drafted: Sequence[Drafted], device: torch.device) -> TokenBatch:
    """Return each request's last token and its draft tokens, those that are unread too, for one pass of the target."""
    known = [[state.tokens[-1], *each.tokens.token_ids] for state, each in zip(states, drafted, strict=True)]
    if device.type == "cpu" or all(each.unread is None for each in drafted):
        return TokenBatch.of(known, device)
    uploaded = without_waiting(torch.tensor([token for row in known for token in row]), device)
    parts: list[torch.Tensor] = []
    for each, own in zip(drafted, torch.split(uploaded, [len(row) for row in known]), strict=True):
        parts += [own] if each.unread is None else [own, each.unread.token_ids]
    return TokenBatch(torch.cat(parts), [1 + each.n_tokens for each in drafted])


def _groups(arms: Sequence[DraftingArm], together: bool) -> Sequence[Sequence[int]]:
    """Return which requests are asked at once: those of one draft whose class has a way of its own to draft for all."""
    groups: dict[int, list[int]] = {}
    for i, arm in enumerate(arms):
        is_shared = together and type(arm.draft).propose_batch is not Draft.propose_batch
        groups.setdefault(id(arm.draft) if is_shared else -1 - i, []).append(i)
    return [*groups.values()]


def _found(draft: Draft, asks: Sequence[DraftAsk]) -> list[object]:
    """Return a proposal or an error for each; an error that concerns no single request is everybody's."""
    if len(asks) == 1 and (not asks[0].unread or type(draft).propose_batch is Draft.propose_batch):
        try:
            return [asks[0].session.propose(asks[0].prefix, asks[0].draft_length, asks[0].sampler)]
        except BaseException as error:
            return [error]
    try:
        found: list[object] = [*draft.propose_batch(asks)]
    except BaseException as error:
        return [error] * len(asks)
    if len(found) != len(asks):
        return [ValueError(f"propose_batch must return {len(asks)} results, one a request, got {len(found)}")] * len(
            asks
        )
    return found
