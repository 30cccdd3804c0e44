"""HedgeSpec: exponential weights over drafts, told after every round what each of them would have got accepted."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from arms.checks import at_least, positive
from bandits.checks import Float64
from speculative.protocols.drafting_rule import EngineArm
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector
from speculative.selectors.spec import SelectorSpec

WouldAccept = Callable[[str, int, int], int]
"""(request, arm, new tokens before the round) to draft tokens that the arm would have got accepted there."""


class HedgeSpec(Selector):
    """Draws an arm by weights that fall with its loss in every round, whether it was chosen or not.

    loss(a) = 1 - min(accepted tokens of a, tokens verified) / max_draft_length
    p(a) proportional to exp(-rate * sum over rounds of loss(a)),  rate = loss_scale * sqrt(8 ln k / t)

    What a look-up would have got accepted is told by its next match, as far as tokens were verified. What an idle model
    would have is known to nobody who did not run it: `would_accept` tells it where texts are traced (the paper runs
    every draft on the verified tokens). Without it, a model that was idle keeps the mean loss of its own rounds.

    Args:
        draft_lengths: of the engine's arms, none of them negative.
        loss_scale: > 0, multiplies the learning rate.
        seed: of the draws.
        would_accept: what every arm would have got accepted in a round that is over; None where nobody knows.

    Raises:
        ValueError: if an argument is out of range.

    Source: Liu et al. 2026, Not-a-Bandit (arXiv:2510.20064), Hedge on the accepted length, cut where verification
    ended; its corrections for that cut and for late losses are left out. The rate without a horizon: Cesa-Bianchi,
    Lugosi 2006, Prediction, Learning, and Games, Theorem 2.3.
    """

    class Spec(SelectorSpec):
        """The settings; lengths are the arms'."""

        kind: Literal["hedge_spec"] = "hedge_spec"
        loss_scale: float = Field(1.0, gt=0)
        seed: int = Field(0, ge=0)

        def build(self, arms: Sequence[EngineArm]) -> Selector:
            """Make the selector."""
            return HedgeSpec([arm.draft_length for arm in arms], loss_scale=self.loss_scale, seed=self.seed)

    def __init__(
        self,
        draft_lengths: Sequence[int],
        *,
        loss_scale: float = 1.0,
        seed: int = 0,
        would_accept: WouldAccept | None = None,
    ) -> None:
        self.lengths = [at_least(length, 0, "a draft length") for length in draft_lengths]
        self.max_draft_length = max(1, *self.lengths)
        self.loss_scale = positive(loss_scale, "loss_scale")
        self.would_accept = would_accept
        self._rng = np.random.default_rng(at_least(seed, 0, "seed"))
        self._running: dict[str, _Weights] = {}

    @property
    def n_requests(self) -> int:
        """Requests that it remembers."""
        return len(self._running)

    def probabilities(self, request_id: str, available: Sequence[bool]) -> Float64:
        """Return the distribution of a running request's next arm, (k,); all on the first arm where none can work."""
        k = len(available)
        if not any(available):
            return np.asarray(np.eye(k)[0], dtype=np.float64)
        running = self._running[request_id]
        rate = self.loss_scale * math.sqrt(8.0 * math.log(max(k, 2)) / (running.n_rounds + 1))
        scores = np.where(available, -rate * running.losses, -np.inf)
        weights = np.exp(scores - scores.max())
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def start(self, query: QueryState) -> None:
        """Begin with nothing known."""
        self._running[query.request.id] = _Weights(len(self.lengths))

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Learn of the round before from the look-ups' matches, and draw an arm for each request.

        Raises:
            ValueError: if the engine has another number of arms.
        """
        return [self._draw(round_) for round_ in rounds]

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Keep what the round gave, until the next matches tell what the other arms would have given."""
        for observation in observations:
            self._running[observation.request_id].last = observation

    def finish(self, request_id: str) -> None:
        """Forget the request."""
        self._running.pop(request_id, None)

    def _draw(self, round_: RoundContext) -> int:
        if len(round_.available) != len(self.lengths):
            raise ValueError(f"HedgeSpec was made for {len(self.lengths)} arms, the engine has {len(round_.available)}")
        running = self._running[round_.request_id]
        if running.last is not None:
            running.learn([self._loss(round_, running, running.last, arm) for arm in range(len(self.lengths))])
        running.n_new = round_.n_new
        probabilities = self.probabilities(round_.request_id, round_.available)
        return int(self._rng.choice(len(probabilities), p=probabilities))

    def _loss(self, round_: RoundContext, running: "_Weights", last: RoundObservation, arm: int) -> float:
        """Return an arm's loss in the round before; the mean of its own where nobody knows it."""
        if arm == last.action:
            accepted = last.n_accepted
            running.own[arm] += 1.0 - accepted / self.max_draft_length
            running.n_own[arm] += 1
        elif self.would_accept is not None:
            accepted = self.would_accept(round_.request_id, arm, running.n_new)
        elif self.lengths[arm] == 0:
            accepted = 0
        else:
            match = round_.match_length(arm)
            if match is None:
                return float(running.own[arm] / running.n_own[arm]) if running.n_own[arm] else 0.5
            accepted = match
        return 1.0 - min(accepted, last.n_new, self.lengths[arm]) / self.max_draft_length


class _Weights:
    """What is known of one request's arms."""

    __slots__ = ("last", "losses", "n_new", "n_own", "n_rounds", "own")

    def __init__(self, k: int) -> None:
        self.losses, self.own, self.n_own = np.zeros((3, k))
        self.n_rounds, self.n_new = 0, 0
        self.last: RoundObservation | None = None

    def learn(self, losses: Sequence[float]) -> None:
        """Add a round's."""
        self.losses = self.losses + np.array(losses)
        self.n_rounds, self.last = self.n_rounds + 1, None
