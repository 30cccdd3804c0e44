"""Reports of rounds, made only for requests that ask for them, outside the seconds that are reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from speculative.engine.active_request import Running
from speculative.engine.round_context import ArmTable
from speculative.protocols.draft import DraftingArm
from speculative.protocols.drafting_rule import EngineArm
from speculative.protocols.request import RoundResult
from speculative.protocols.round_report import RoundReport
from speculative.sampling.certainty import Certainty
from speculative.sampling.token_sampler import DraftTokens


@dataclass(frozen=True, slots=True)
class OpenRound:
    """A round about to begin: what is known of it, and where its request's counts stand.

    Attributes:
        match_lengths: see `RoundReport`.
        certainty: see `RoundReport`.
        n_caught_up: of the request so far.
        seconds: of the request so far: choosing, drafting, verifying, bookkeeping.
    """

    match_lengths: Mapping[str, int]
    certainty: Certainty | None
    n_caught_up: int
    seconds: tuple[float, float, float, float]


def open_rounds(states: Sequence[Running], table: ArmTable) -> list[OpenRound | None]:
    """Note what is known before a round of each request; None for one that asks for no report.

    Every look-up is asked for its match, as a selector may do too. So it has less to read when it drafts.

    Returns:
        A note a request; none where nobody asks.
    """
    if True not in [state.request.sampling.rounds for state in states]:
        return []
    return [_opened(state, table) if state.request.sampling.rounds else None for state in states]


def report_rounds(
    opened: Sequence[OpenRound | None],
    states: Sequence[Running],
    arms: Sequence[EngineArm],
    drafted: Sequence[tuple[DraftingArm, DraftTokens]],
    results: Sequence[RoundResult | None],
) -> None:
    """Add a report of the round to each request that asks for it, once its seconds are counted.

    Args:
        opened: from `open_rounds`.
        states: the round's requests.
        arms: all that can be picked.
        drafted: for each request, the fixed arm that drafted, and its draft tokens.
        results: what each was given; None where its decoder raised.
    """
    for begun, state, (arm, tokens), result in zip(opened, states, drafted, results, strict=True):
        if begun is None or result is None or result.action is None:
            continue
        before, after = begun.seconds, _seconds(state)
        state.rounds.append(
            RoundReport(
                arm=arms[result.action].name,
                drafted_by=arm.name,
                draft=state.drafting.name_of(arm.draft),
                match_lengths=begun.match_lengths,
                certainty=begun.certainty,
                proposed_ids=tuple(tokens.token_ids[: result.n_proposed]),
                n_accepted=result.n_accepted,
                token_ids=result.token_ids,
                n_caught_up=state.stats.n_caught_up - begun.n_caught_up,
                select_s=after[0] - before[0],
                draft_s=after[1] - before[1],
                verify_s=after[2] - before[2],
                host_s=after[3] - before[3],
            )
        )


def _opened(state: Running, table: ArmTable) -> OpenRound:
    matches = state.drafting.match_lengths(table.all_drafts, state.tokens)
    return OpenRound(matches, state.certainty(), state.stats.n_caught_up, _seconds(state))


def _seconds(state: Running) -> tuple[float, float, float, float]:
    stats = state.stats
    return stats.select_s, stats.draft_s, stats.verify_s, stats.host_s
