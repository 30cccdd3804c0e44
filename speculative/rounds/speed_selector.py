"""The arm whose expected tokens, less the price of its seconds, are most: a choice at every round by model and cost."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from arms.checks import not_negative, positive, within
from bandits import ContextEncoder
from bandits.checks import Float64, Int64
from speculative.measuring.cost_profile import CostProfile
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation
from speculative.rounds.acceptance_model import AcceptanceModel, expected_tokens
from speculative.rounds.record import RoundRecord
from speculative.rounds.round_costs import RoundCosts
from speculative.rounds.round_selector import RoundSelector

USUAL_CACHE_LENGTH = 256
"""Cached tokens at which the speed of plain decoding is taken."""


@dataclass(slots=True)
class _Running:
    """A request's limit, and what its rounds have given and taken by the profile.

    Attributes:
        max_new_tokens: its limit.
        tokens: new tokens of its rounds.
        seconds: of them, expected before each of the arm that was run.
    """

    max_new_tokens: int
    tokens: float = 0.0
    seconds: float = 0.0


class SpeedSelector(RoundSelector):
    """Maximises tokens minus rate times seconds, with an acceptance model for the tokens and a profile for the seconds.

        action = argmax over a of E[new tokens of a | record] - rate * seconds(a)
        rate = (inertia + tokens) / (inertia / prior rate + seconds), over the request's own rounds

    Where the rate is the one that the choice itself reaches, the total of tokens over seconds is greatest; `tuned`
    finds it so. On another machine, or at another load, exchange the profile: what was learned stays right.

    Args:
        model: fitted on the arms' drafts.
        costs: of this machine.
        rate: tokens per second, > 0, expected of a new request.
        inertia: tokens, >= 0, that the prior rate counts for against the request's own rounds; infinity keeps it.
        idle_share: in [0, 1], of what an idle draft must read first that is held against one round: reading pays over
            many.
        encoder: of the prompts; see `RoundSelector`.

    Attributes:
        plain_round_s: seconds of a round without a draft, by the profile.
        left_out: names of drafts that are never asked; see `with_changes`.

    Raises:
        ValueError: if a number is out of range, the profile lacks one of the drafts, or the model was learned with
            contexts of another encoder.

    Source: the ratio is maximised as by Dinkelbach 1967, On Nonlinear Fractional Programming, Management Science 13(7).
    """

    def __init__(
        self,
        model: AcceptanceModel,
        costs: CostProfile,
        *,
        rate: float,
        inertia: float = float("inf"),
        idle_share: float = 1.0,
        encoder: ContextEncoder | None = None,
    ) -> None:
        super().__init__(model.layout, encoder)
        self.model, self.rate = model, positive(rate, "rate")
        self.inertia = inertia if inertia == float("inf") else not_negative(inertia, "inertia")
        self.idle_share = within(idle_share, 0, 1, "idle_share")
        self.left_out: tuple[str, ...] = ()
        self._barred = np.zeros(len(self.layout.arms), dtype=bool)
        self._costs = RoundCosts(self.layout, costs, model.goes_on)
        self.plain_round_s = costs.verify_s(1, USUAL_CACHE_LENGTH)
        self._lengths = np.array(self.layout.lengths, dtype=np.int64)
        self._draft_of, self._longest = self.layout.draft_of, max(1, *self.layout.lengths)
        self._requests: dict[str, _Running] = {}
        self._expected_s: dict[str, Float64] = {}  # (k,) of each arm

    def start(self, query: QueryState) -> None:
        """Begin with the prior rate."""
        super().start(query)
        self._requests[query.request.id] = _Running(query.request.max_new_tokens)

    def choose(self, round_: RoundContext, record: RoundRecord) -> int:
        """Return the best arm; the first of equals."""
        request = self._requests[round_.request_id]
        n_proposed = self.proposals(round_, record, request.max_new_tokens)
        survival = self.model.survival(record, self._longest)
        tokens = expected_tokens(survival, self._draft_of, np.maximum(n_proposed, 0).tolist())
        seconds = self._costs.seconds(round_.cache_length, n_proposed, record, self.idle_share)
        gains = tokens - self._rate_of(request) * seconds
        gains[self._barred] = -np.inf
        self._expected_s[round_.request_id] = seconds
        return int(gains.argmax())

    def proposals(self, round_: RoundContext, record: RoundRecord, max_new_tokens: int) -> Int64:
        """Return how many tokens each arm would propose, (k,); -1 where its draft would not be asked."""
        room = max_new_tokens - round_.n_new - 1
        n_proposed: Int64 = np.minimum(self._lengths, room)
        for action, draft in enumerate(self._draft_of):
            if draft is None:
                continue
            if room < 1 or not round_.available[action]:
                n_proposed[action] = -1
            elif record.match_lengths[draft] == 0:
                n_proposed[action] = 0
        return n_proposed

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Note what each round gave, and what the arm that was run was expected to take."""
        super().observe(observations)
        for observation in observations:
            request = self._requests[observation.request_id]
            request.tokens += observation.n_new
            request.seconds += float(self._expected_s[observation.request_id][observation.action])

    def finish(self, request_id: str) -> None:
        """Forget the request."""
        super().finish(request_id)
        self._requests.pop(request_id, None)
        self._expected_s.pop(request_id, None)

    def with_changes(
        self,
        costs: CostProfile,
        *,
        rate: float | None = None,
        inertia: float | None = None,
        idle_share: float | None = None,
        encoder: ContextEncoder | None = None,
        left_out: Collection[str] | None = None,
    ) -> "SpeedSelector":
        """Return one of the same model with another profile, settings or encoder; None keeps what was there.

        The rate that is kept is so many times the speed of plain decoding, whose seconds are the profile's.

        Raises:
            ValueError: if the profile lacks one of the drafts, a number is out of range, or no arm is left.
        """
        changed = SpeedSelector(
            self.model,
            costs,
            rate=self.rate * self.plain_round_s / costs.verify_s(1, USUAL_CACHE_LENGTH) if rate is None else rate,
            inertia=self.inertia if inertia is None else inertia,
            idle_share=self.idle_share if idle_share is None else idle_share,
            encoder=self.encoder if encoder is None else encoder,
        )
        changed._leave_out(self.left_out if left_out is None else left_out)
        return changed

    def _leave_out(self, drafts: Collection[str]) -> None:
        self.left_out = tuple(sorted(drafts))
        self._barred = np.array([d is not None and self.layout.drafts[d] in drafts for d in self.layout.draft_of])
        if self._barred.all():
            raise ValueError(f"left_out must leave an arm, got {', '.join(self.left_out)}")

    def _rate_of(self, request: _Running) -> float:
        if self.inertia == float("inf"):
            return self.rate
        seconds = self.inertia / self.rate + request.seconds
        return self.rate if seconds == 0 else (self.inertia + request.tokens) / seconds
