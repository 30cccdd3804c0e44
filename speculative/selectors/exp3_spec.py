"""EXP3Spec: an adversarial bandit over drafts or draft lengths, asked before every round."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from arms.checks import at_least, positive
from bandits.checks import Float64
from speculative.protocols.drafting_rule import EngineArm
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector
from speculative.selectors.spec import SelectorSpec, longest


class EXP3Spec(Selector):
    """Draws an arm by weights that fall with the losses of its rounds, each divided by the probability of its choice.

    loss = 1 - n_accepted / max_draft_length
    p(a) proportional to exp(-rate_t * sum of loss / p of a's rounds),  rate_t = loss_scale * sqrt(ln k / (k t))

    Every request starts from nothing. An arm whose draft cannot work is passed over.

    Args:
        max_draft_length: the longest draft length of the engine's arms, >= 1.
        loss_scale: > 0, multiplies the learning rate.
        seed: of the draws.

    Raises:
        ValueError: if an argument is out of range.

    Source: Hou et al. 2025, BanditSpec (arXiv:2505.15141), EXP3Spec, whose rate we could not read; the rate here is the
    one that needs no horizon: Bubeck, Cesa-Bianchi 2012, Regret Analysis of Stochastic and Nonstochastic Multi-armed
    Bandit Problems, Theorem 3.1.
    """

    class Spec(SelectorSpec):
        """The settings; the longest draft length is the arms'."""

        kind: Literal["exp3_spec"] = "exp3_spec"
        loss_scale: float = Field(1.0, gt=0)
        seed: int = Field(0, ge=0)

        def build(self, arms: Sequence[EngineArm]) -> Selector:
            """Make the selector."""
            return EXP3Spec(longest(arms), loss_scale=self.loss_scale, seed=self.seed)

    def __init__(self, max_draft_length: int, *, loss_scale: float = 1.0, seed: int = 0) -> None:
        self.max_draft_length = at_least(max_draft_length, 1, "max_draft_length")
        self.loss_scale = positive(loss_scale, "loss_scale")
        self._rng = np.random.default_rng(at_least(seed, 0, "seed"))
        self._losses: dict[str, Float64] = {}
        self._n_rounds: dict[str, int] = {}
        self._drawn: dict[str, tuple[int, float]] = {}  # arm and its probability

    @property
    def n_requests(self) -> int:
        """Requests that it remembers."""
        return len(self._n_rounds)

    def probabilities(self, request_id: str, available: Sequence[bool]) -> Float64:
        """Return the distribution of a running request's next arm, (k,); all on the first arm where none can work."""
        k = len(available)
        if not any(available):
            return np.asarray(np.eye(k)[0], dtype=np.float64)
        losses = self._losses.setdefault(request_id, np.zeros(k))
        rate = self.loss_scale * math.sqrt(math.log(max(k, 2)) / (k * (self._n_rounds[request_id] + 1)))
        scores = np.where(available, -rate * losses, -np.inf)
        weights = np.exp(scores - scores.max())
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def start(self, query: QueryState) -> None:
        """Begin with nothing known."""
        self._n_rounds[query.request.id] = 0

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Draw an arm for each request."""
        return [self._draw(round_) for round_ in rounds]

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Add each round's loss to the arm that was drawn, divided by its probability; other rounds say nothing."""
        for observation in observations:
            request_id = observation.request_id
            action, probability = self._drawn[request_id]
            if observation.action == action:
                loss = 1.0 - observation.n_accepted / self.max_draft_length
                self._losses[request_id][action] += loss / probability
            self._n_rounds[request_id] += 1

    def finish(self, request_id: str) -> None:
        """Forget the request."""
        for of in (self._losses, self._n_rounds, self._drawn):
            of.pop(request_id, None)

    def _draw(self, round_: RoundContext) -> int:
        probabilities = self.probabilities(round_.request_id, round_.available)
        self._losses.setdefault(round_.request_id, np.zeros(len(probabilities)))
        action = int(self._rng.choice(len(probabilities), p=probabilities))
        self._drawn[round_.request_id] = action, float(probabilities[action])
        return action
