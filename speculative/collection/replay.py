"""Exact rounds, and modelled seconds, of any arm on a traced text: labels without running speculation."""

from dataclasses import dataclass

from arms import Observation, Reference
from speculative.collection.trace import Trace
from speculative.drafts.no_draft import NoDraft
from speculative.measuring.cost_profile import CostProfile
from speculative.targets.speculative_arm import SpeculativeArm


@dataclass(frozen=True, slots=True)
class Replay:
    """The rounds a real run would have had: tokens proposed and accepted in each, and modelled seconds."""

    proposed: tuple[int, ...]
    accepted: tuple[int, ...]
    seconds: float


def replay(trace: Trace, draft: str, draft_length: int, costs: CostProfile) -> Replay:
    """Walk a traced text round by round.

    The rounds are exact (greedy text, deterministic drafts), counted as the engine counts them: where an
    accepted token ends the text, what was drafted after it does not count, though its seconds do. Seconds are
    the cost profile's: prefill, then for each round the draft's share and a target pass over the pending
    token and the proposal. The bandit's own time is not in them.

    Args:
        trace: the text.
        draft: name of the draft; ignored at draft length 0, which is the target alone.
        draft_length: tokens proposed per round, in [0, trace.max_draft_length].
        costs: seconds of this machine.

    Raises:
        ValueError: if the draft was not traced, or not that far.
    """
    _check(trace, draft, draft_length)
    n_prompt, n_new = len(trace.prompt_ids), len(trace.new_ids)
    seconds = costs.prefill_s(n_prompt)
    proposed: list[int] = []
    accepted: list[int] = []
    n_done = 1  # the prefill yields the first token
    n_read = n_prompt
    while n_done < n_new:
        asked = min(draft_length, trace.max_new_tokens - n_done - 1)
        n_proposed = n_accepted = 0
        if asked >= 1:
            lengths = trace.drafts[draft]
            n_proposed = min(asked, int(lengths.proposed[n_done]))
            n_accepted = min(n_proposed, int(lengths.accepted[n_done]))
            seconds += costs.draft_s(draft, n_proposed, n_read)
            n_read = 0
        seconds += costs.verify_s(1 + n_proposed, n_prompt + n_done - 1)
        ended = n_done + n_accepted == n_new  # by an accepted end-of-text token
        proposed.append(n_accepted if ended else n_proposed)
        accepted.append(n_accepted)
        n_done += n_accepted + 1
    return Replay(tuple(proposed), tuple(accepted), seconds)


def observe(trace: Trace, arm: SpeculativeArm, costs: CostProfile, text: str) -> Observation:
    """Return the observation that a pull of `arm` would have given, with modelled seconds.

    Args:
        trace: of the query.
        arm: one whose draft was traced.
        costs: seconds of this machine.
        text: the target's text, `target.text(trace.new_ids)`.
    """
    played = replay(trace, arm.draft.name, arm.draft_length, costs)
    plain = replay(trace, "", 0, costs)
    return Observation(
        arm=arm.name,
        query_id=trace.query_id,
        text=text,
        n_tokens=len(trace.new_ids),
        seconds=played.seconds,
        proposed=played.proposed,
        accepted=played.accepted,
        own_text=_own_text(trace, arm, text),
        reference=Reference(text, plain.seconds, len(trace.new_ids)),
    )


def _check(trace: Trace, draft: str, draft_length: int) -> None:
    if draft_length > trace.max_draft_length:
        raise ValueError(f"draft_length must be <= {trace.max_draft_length}, the length traced, got {draft_length}")
    if draft_length and draft not in trace.drafts:
        raise ValueError(f"query {trace.query_id!r} has no trace of draft {draft!r} (drafts: {sorted(trace.drafts)})")


def _own_text(trace: Trace, arm: SpeculativeArm, text: str) -> str | None:
    if isinstance(arm.draft, NoDraft):
        return text
    own_ids = trace.drafts[arm.draft.name].own_ids
    if own_ids is None:
        return None
    ends = [i for i, token in enumerate(own_ids) if token in arm.target.eos_ids]
    return arm.target.text(own_ids[: ends[0]] if ends else own_ids)
