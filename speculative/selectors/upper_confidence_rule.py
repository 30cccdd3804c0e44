"""What the bandit rules share: each request learns on its own, from its own rounds, which arm does best."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector


@dataclass(slots=True)
class _Tally:
    """What the arms have done for one request."""

    n_rounds: int = 0
    counts: dict[int, int] = field(default_factory=dict)
    rewards: dict[int, float] = field(default_factory=dict)


class UpperConfidenceRule(Selector):
    """Each available arm once, in their order, then the one with the highest upper bound on its mean reward.

    Ties go to the first arm. Every request starts from nothing, as in both papers, and what it learned is
    freed when it finishes. An arm whose draft cannot work is passed over; where none can, the first one is named.
    """

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}

    @property
    def n_requests(self) -> int:
        """Requests that it remembers."""
        return len(self._tallies)

    @abstractmethod
    def reward(self, observation: RoundObservation) -> float:
        """Return what a round was worth."""

    @abstractmethod
    def upper_bound(self, mean: float, n_played: int, n_rounds: int, n_arms: int) -> float:
        """Return an arm's bound after `n_rounds` rounds of the request, `n_played` >= 1 of them with this arm."""

    def bounds(self, request_id: str, n_arms: int) -> list[float]:
        """Return each arm's upper bound for a running request, n_arms values; infinity for an arm never played."""
        tally = self._tallies[request_id]
        bounds = []
        for action in range(n_arms):
            n_played = tally.counts.get(action, 0)
            if n_played == 0:
                bounds.append(math.inf)
                continue
            mean = tally.rewards[action] / n_played
            bounds.append(self.upper_bound(mean, n_played, tally.n_rounds, n_arms))
        return bounds

    def start(self, query: QueryState) -> None:
        """Begin with nothing known."""
        self._tallies[query.request.id] = _Tally()

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Choose the highest bound among each request's available arms."""
        return [self._best(round_) for round_ in rounds]

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Add each round's reward to the arm that played it."""
        for observation in observations:
            tally, action = self._tallies[observation.request_id], observation.action
            tally.n_rounds += 1
            tally.counts[action] = tally.counts.get(action, 0) + 1
            tally.rewards[action] = tally.rewards.get(action, 0.0) + self.reward(observation)

    def finish(self, request_id: str) -> None:
        """Forget the request."""
        self._tallies.pop(request_id, None)

    def _best(self, round_: RoundContext) -> int:
        bounds = self.bounds(round_.request_id, len(round_.available))
        usable = [action for action, available in enumerate(round_.available) if available]
        return max(usable, key=bounds.__getitem__, default=0)
