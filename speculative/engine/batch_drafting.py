"""One round's drafting: requests of one draft in the same passes, where the draft knows how."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from speculative.engine.active_request import Running
from speculative.engine.picks_on_card import PickAsk
from speculative.engine.round_clock import RoundClock
from speculative.models.graphs import announce
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.draft import Draft, DraftAsk, DraftingArm, UnreadProposal
from speculative.protocols.drafting_rule import DraftingRule, EngineArm
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.pinned import without_waiting
from speculative.sampling.token_sampler import NO_TOKENS, DraftTokens

_ONE: Sequence[Sequence[int]] = ((0,),)


@dataclass(slots=True)
class Drafted:
    """A round's draft tokens.

    Attributes:
        tokens: of each request, what is to be verified; none as long as they are unread.
        unread: by a request's number, what it asked for, and tokens that are still on the card.
    """

    tokens: list[DraftTokens]
    unread: dict[int, tuple[DraftAsk, UnreadProposal]]

    @property
    def n_read(self) -> int:
        """Tokens that the target reads: each text's last one and its draft tokens, once they are settled."""
        return sum(1 + len(tokens.token_ids) for tokens in self.tokens)

    def asks(self, states: Sequence[Running]) -> list[PickAsk | None]:
        """Return what each request asks of its rows on a card; None where processors must see each row."""
        return [
            state.pick_ask(tokens, self.unread[i][1] if i in self.unread else None)
            for i, (state, tokens) in enumerate(zip(states, self.tokens, strict=True))
        ]

    def settle(self, states: Sequence[Running], arms: Sequence[DraftingArm]) -> None:
        """Take what was read with the target's pass: the rows hold it, and each text's last token."""
        for i, (ask, proposal) in self.unread.items():
            self.tokens[i] = states[i].settle(arms[i].draft, ask, proposal.found, len(states[i].tokens))


def propose_all(
    states: Sequence[Running], arms: Sequence[DraftingArm], clock: RoundClock, *, together: bool
) -> Drafted:
    """Let each request's arm propose.

    Args:
        states: the requests.
        arms: one a request.
        clock: told whose drafting has ended.
        together: whether requests may share passes; what a draft proposes then depends, by rounding, on the others.
    """
    drafted, groups, raised = Drafted([NO_TOKENS] * len(arms), {}), _ONE, None
    if len(arms) > 1:
        clock.drafted(range(len(arms)))
        groups = _groups(arms, together)
    for requests in groups:
        draft = arms[requests[0]].draft
        numbers, asks = [], []
        for i in requests:
            ask = states[i].ask(draft, arms[i].draft_length)
            if ask is not None:
                numbers.append(i)
                asks.append(ask)
        if asks:
            found = _found(draft, asks)
            for k, i in enumerate(numbers):
                try:
                    if asks[k].unread and isinstance(answer := found[k], UnreadProposal):
                        states[i].hold()
                        drafted.unread[i] = asks[k], answer
                    else:
                        drafted.tokens[i] = states[i].settle(draft, asks[k], found[k])
                except BaseException as error:
                    raised = raised or error
            if raised is not None:  # an interrupt, now that every row is in order
                raise raised
        clock.drafted(numbers or requests)
    return drafted


def announce_lengths(target: CausalLM, arms: Collection[EngineArm]) -> None:
    """Tell the target, and the models that drafts have of their own, how many tokens will be drafted."""
    for arm in arms:
        if isinstance(arm, DraftingRule):
            announce_lengths(target, arm.arms)
        else:
            for model in (target, getattr(arm.draft, "model", None)):
                announce(model, [arm.draft_length])


def batch_to_verify(states: Sequence[Running], drafted: Drafted, device: torch.device) -> TokenBatch:
    """Return each request's last token and its draft tokens, those that are unread too, for one pass of the target."""
    known = [[state.tokens[-1], *drafted.tokens[i].token_ids] for i, state in enumerate(states)]
    if not drafted.unread:
        return TokenBatch.of(known, device)
    uploaded = without_waiting(torch.tensor([token for row in known for token in row]), device)
    parts, counts = list[torch.Tensor](), [len(row) for row in known]
    for i, part in enumerate(torch.split(uploaded, counts)):
        parts.append(part)
        if i in drafted.unread:
            parts.append(drafted.unread[i][1].token_ids)
            counts[i] += len(parts[-1])
    return TokenBatch(torch.cat(parts), counts)


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
            session, prefix, draft_length, sampler, _ = asks[0]
            return [session.propose(prefix, draft_length, sampler)]
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
