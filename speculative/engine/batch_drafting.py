"""One round's drafting: requests of one draft in the same passes, where the draft knows how."""

from collections.abc import Sequence

from speculative.engine.active_request import Running
from speculative.engine.round_clock import RoundClock
from speculative.protocols.draft import Draft, DraftAsk, DraftingArm
from speculative.sampling.token_sampler import DraftTokens

_Drafted = list[tuple[DraftingArm, DraftTokens]]


def propose_all(
    states: Sequence[Running], arms: Sequence[DraftingArm], clock: RoundClock, *, together: bool
) -> _Drafted:
    """Let each request's arm propose.

    Args:
        states: the requests.
        arms: one a request.
        clock: told whose drafting has ended.
        together: whether requests may share passes; what a draft proposes then depends, by rounding, on the others.
    """
    clock.drafting(len(states))
    tokens: dict[int, DraftTokens] = {}
    for requests in _groups(arms, together):
        draft = arms[requests[0]].draft
        asked = [(i, states[i].ask(draft, arms[i].draft_length)) for i in requests]
        found = _found(draft, [ask for _, ask in asked if ask is not None])
        raised: list[BaseException] = []
        for i, ask in asked:
            try:
                tokens[i] = states[i].settle(draft, ask, None if ask is None else found.pop(0))
            except BaseException as error:  # an interrupt; the others' rows are put in order all the same
                raised.append(error)
        if raised:
            raise raised[0]
        clock.drafted(requests)
    return [(arm, tokens[i]) for i, arm in enumerate(arms)]


def _groups(arms: Sequence[DraftingArm], together: bool) -> list[list[int]]:
    """Return which requests are asked at once: those of one draft whose class has a way of its own to draft for all."""
    if len(arms) == 1:
        return [[0]]
    groups: dict[int, list[int]] = {}
    for i, arm in enumerate(arms):
        is_shared = together and type(arm.draft).propose_batch is not Draft.propose_batch
        groups.setdefault(id(arm.draft) if is_shared else -1 - i, []).append(i)
    return list(groups.values())


def _found(draft: Draft, asks: Sequence[DraftAsk]) -> list[object]:
    """Return a proposal or an error for each; an error that concerns no single request is everybody's."""
    if len(asks) == 1:
        try:
            return [asks[0].session.propose(asks[0].prefix, asks[0].draft_length, asks[0].sampler)]
        except BaseException as error:
            return [error]
    if not asks:
        return []
    try:
        found: list[object] = [*draft.propose_batch(asks)]
    except BaseException as error:
        return [error] * len(asks)
    if len(found) != len(asks):
        return [ValueError(f"propose_batch must return {len(asks)} results, one a request, got {len(found)}")] * len(
            asks
        )
    return found
