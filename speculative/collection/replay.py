"""Exact rounds, and modelled seconds, of any arm on a traced text: labels without running speculation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from arms import Observation, Reference
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.own_texts import text_of
from speculative.collection.trace import Trace
from speculative.drafts.no_draft import NoDraft
from speculative.measuring.cost_profile import CostProfile
from speculative.protocols.selector import RoundContext, RoundObservation, Selector
from speculative.targets.rule_arm import PoolArm, RuleArm


@dataclass(frozen=True, slots=True)
class Replay:
    """The rounds a real run would have had.

    Attributes:
        proposed: tokens proposed in each round.
        accepted: of these, accepted.
        seconds: modelled, the prefill's included.
        actions: the arm of each round, an index of the plans walked with.
    """

    proposed: tuple[int, ...]
    accepted: tuple[int, ...]
    seconds: float
    actions: tuple[int, ...]


class Replayer:
    """Replays arms on one traced text; what they share is computed once.

    Args:
        trace: the text.
        costs: seconds of this machine.
    """

    def __init__(self, trace: Trace, costs: CostProfile) -> None:
        self.trace, self._costs = trace, costs
        self._n_prompt, self._n_new = len(trace.prompt_ids), len(trace.new_ids)
        self._prefill_s = costs.prefill_s(self._n_prompt)
        self._verify_s: dict[tuple[int, int], float] = {}

    @cached_property
    def plain_s(self) -> float:
        """Seconds of the text without a draft."""
        return self._costs.plain_s(self._n_prompt, self._n_new)

    def play(self, plan: ArmPlan) -> Replay:
        """Walk the text with one arm; see `replay`."""
        return self.walk((plan,))

    def walk(self, plans: Sequence[ArmPlan], selector: Selector | None = None) -> Replay:
        """Walk the text round by round with the arms that a selector, which has been told of the query, chooses.

        Args:
            plans: of the arms.
            selector: asked and told as the engine does; by default always the first arm.
        """
        trace, n_prompt, n_new = self.trace, self._n_prompt, self._n_new
        for plan in plans:
            _check(trace, plan)
        rounds: list[RoundObservation] = []
        reading = _Reading(self._costs)
        n_done = 1  # the prefill yields the first token
        while n_done < n_new:
            looked_up: dict[str, int] = {}
            action = 0 if selector is None else _choice(trace, plans, selector, n_done, looked_up)
            draft, draft_length = _arm_of_round(trace, plans[action], n_done, looked_up)
            n_proposed, n_accepted = trace.proposal(draft, draft_length, n_done)
            if n_proposed < 0:
                n_proposed = 0
            else:
                looked_up[draft] = trace.n_drafted(draft, draft_length, n_done)
            n_committed = n_prompt + n_done - 1
            seconds = sum(reading.round_s(name, n, n_committed) for name, n in looked_up.items())
            seconds += self._pass_s(1 + n_proposed, n_committed)
            ended = n_done + n_accepted == n_new  # by an accepted end-of-text token
            n_counted, n_kept = (n_accepted, n_accepted) if ended else (n_proposed, n_accepted + 1)
            rounds.append(RoundObservation(trace.query_id, action, n_counted, n_accepted, n_kept, seconds))
            if selector is not None:
                selector.observe(rounds[-1:])
            n_done += n_accepted + 1
            reading.keep_up(looked_up, n_prompt + n_done - 1)
        return Replay(
            tuple(one.n_proposed for one in rounds),
            tuple(one.n_accepted for one in rounds),
            self._prefill_s + sum(one.seconds for one in rounds),
            tuple(one.action for one in rounds),
        )

    def _pass_s(self, n_tokens: int, cache_length: int) -> float:
        key = n_tokens, cache_length
        if key not in self._verify_s:
            self._verify_s[key] = self._costs.verify_s(n_tokens, cache_length)
        return self._verify_s[key]


def replay(trace: Trace, plan: ArmPlan, costs: CostProfile) -> Replay:
    """Walk a traced text round by round.

    The rounds are exact (greedy text, deterministic drafts), counted as the engine counts them: where an
    accepted token ends the text, what was drafted after it does not count, though its seconds do. Seconds are
    the cost profile's: prefill, then for each round the draft's share and a target pass over the pending
    token and the proposal; a draft that stops where it is unsure pays for the token that it leaves out. One that was
    idle reads what it missed when it is asked again, and so does a look-up whose match a rule asks for. The bandit's
    own time is not in them.

    Args:
        trace: the text.
        plan: of the arm: `ArmPlan.of(arm)`, `ArmPlan.fixed(draft, draft_length)`, `NO_DRAFT`.
        costs: seconds of this machine.

    Raises:
        ValueError: if a draft was not traced, or not that far.
    """
    return Replayer(trace, costs).play(plan)


class _Reading:
    """How far each draft has read the text: what it has not is what it must catch up on."""

    def __init__(self, costs: CostProfile) -> None:
        self._costs = costs
        self._n_read: dict[str, int] = {}

    def round_s(self, draft: str, n_drafted: int, n_committed: int) -> float:
        """Seconds of a draft that is asked after so many committed tokens."""
        return self._costs.draft_s(draft, n_drafted, n_committed - self._n_read.get(draft, 0))

    def keep_up(self, drafts: Iterable[str], n_committed: int) -> None:
        """Note who was asked; the tokens of its own round are among the usual few of its next one."""
        for draft in drafts:
            self._n_read[draft] = n_committed


def _choice(trace: Trace, plans: Sequence[ArmPlan], selector: Selector, n_done: int, looked_up: dict[str, int]) -> int:
    """Ask a selector as the engine does, and note which look-ups it asked."""
    fixed = [plan.drafts[0][0] if len(plan.drafts) == 1 else None for plan in plans]
    available = tuple(any(trace.can_draft(name, n_done) for name, _ in plan.drafts) for plan in plans)
    [action] = selector.select([_round_context(trace, n_done, available, fixed, looked_up)])
    if not 0 <= action < len(plans):
        raise ValueError(f"the selector must choose an arm in [0, {len(plans)}), got {action}")
    return action


def _arm_of_round(trace: Trace, plan: ArmPlan, n_done: int, looked_up: dict[str, int]) -> tuple[str, int]:
    """Return who drafts, how far, and note which look-ups were asked on the way, each with no draft token yet."""
    if len(plan.drafts) == 1:
        return plan.drafts[0]
    names = [name for name, _ in plan.drafts]
    available = tuple(trace.can_draft(name, n_done) for name in names)
    context = _round_context(trace, n_done, available, names, looked_up)
    return plan.drafts[plan.rule.select([context])[0]]


def _round_context(
    trace: Trace,
    n_done: int,
    available: tuple[bool, ...],
    drafts: Sequence[str | None],
    looked_up: dict[str, int],
) -> RoundContext:
    """Return what the engine would say before a round; `drafts` of each action, None for a rule."""

    def match_length(action: int) -> int | None:
        name = drafts[action]
        if name is None or name not in trace.drafts or not available[action]:
            return None
        found = trace.drafts[name].match_length(n_done)
        if found is not None:
            looked_up[name] = 0
        return found

    return RoundContext(
        trace.query_id,
        len(trace.prompt_ids),
        n_done,
        available,
        match_length=match_length,
        certainty=lambda: trace.certainty(n_done),
    )


def observe(replayer: Replayer, arm: PoolArm, text: str) -> Observation:
    """Return the observation that a pull of `arm` would have given, with modelled seconds.

    Args:
        replayer: of the query's trace; one for all its arms.
        arm: one whose draft was traced.
        text: the target's text, `target.text(trace.new_ids)`.
    """
    trace, played = replayer.trace, replayer.play(ArmPlan.of(arm))
    return Observation(
        arm=arm.name,
        query_id=trace.query_id,
        text=text,
        n_tokens=len(trace.new_ids),
        seconds=played.seconds,
        proposed=played.proposed,
        accepted=played.accepted,
        own_text=_own_text(trace, arm, text),
        overlaps=_overlaps(trace, arm),
        reference=Reference(text, replayer.plain_s, len(trace.new_ids)),
    )


def _check(trace: Trace, plan: ArmPlan) -> None:
    for draft, draft_length in plan.drafts:
        if draft_length > trace.max_draft_length:
            raise ValueError(
                f"draft_length must be <= {trace.max_draft_length}, the length traced, got {draft_length} for {draft!r}"
            )
        if draft_length and draft not in trace.drafts:
            known = sorted(trace.drafts)
            raise ValueError(f"query {trace.query_id!r} has no trace of draft {draft!r} (drafts: {known})")
    for (draft, _), least in zip(plan.drafts, plan.min_match_lengths, strict=False):
        if least and (draft not in trace.drafts or trace.drafts[draft].match_lengths is None):
            raise ValueError(
                f"query {trace.query_id!r}: draft {draft!r} was traced without match lengths, which the rule asks for"
            )


def _own_text(trace: Trace, arm: PoolArm, text: str) -> str | None:
    if all(isinstance(draft, NoDraft) for draft in arm.drafts):
        return text
    own = None if isinstance(arm, RuleArm) else trace.drafts[arm.draft.name].own
    return None if own is None else text_of(own, arm.target)


def _overlaps(trace: Trace, arm: PoolArm) -> tuple[float, ...]:
    found = None if isinstance(arm, RuleArm) else trace.drafts.get(arm.draft.name)
    if found is None or found.overlaps is None:
        return ()
    return tuple(round(share, 4) for share in found.overlaps.tolist())
