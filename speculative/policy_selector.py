"""A bandit policy at the wheel of the engine: one choice per query, kept for all its rounds."""

import time
from collections.abc import Sequence

import numpy as np

from bandits import ContextEncoder, Decision, Policy
from speculative.engine.selector import QueryState, RoundContext, RoundObservation
from speculative.hidden_state_encoder import HiddenStateEncoder


class PolicySelector:
    """Encodes a query once, after the target's prefill, and lets the policy choose its arm.

    Args:
        policy: fitted; its arms are matched to the engine's by name.
        encoder: the one its training contexts came from.
        arm_names: the engine's arms in order.
        rng: the policy draws from it.

    Attributes:
        decisions: request id to the choice made, with its propensity.
        seconds: request id to the seconds that encoding and choosing took.

    Raises:
        ValueError: if the policy knows an arm that the engine lacks, or was fitted on another encoder's contexts.
    """

    def __init__(
        self, policy: Policy, encoder: ContextEncoder, arm_names: Sequence[str], rng: np.random.Generator
    ) -> None:
        unknown = [name for name in policy.arm_names if name not in arm_names]
        if unknown:
            raise ValueError(f"the policy chooses among {policy.arm_names}, but the pool has no arm {unknown[0]!r}")
        trained_on = policy.state.encoder if policy.state is not None else None
        if trained_on not in (None, encoder.name):
            raise ValueError(f"the policy was fitted on contexts of {trained_on!r}, the pool encodes with {encoder.name!r}")
        self._policy, self._encoder, self._rng = policy, encoder, rng
        self._index = {name: i for i, name in enumerate(arm_names)}
        self.decisions: dict[str, Decision] = {}
        self.seconds: dict[str, float] = {}

    def start(self, query: QueryState) -> None:
        """Choose for the whole query."""
        begin = time.perf_counter()
        if isinstance(self._encoder, HiddenStateEncoder):
            context = self._encoder.from_mean(query.hidden_mean)
        else:
            context = self._encoder.encode([query.request.text])[0]
        chosen = self._policy.choose(context, self._rng)
        decision = Decision(chosen.arm, self._index[chosen.arm], chosen.propensity)
        self.decisions[query.request.id] = decision
        self.seconds[query.request.id] = time.perf_counter() - begin

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[Decision]:
        """The choice already made for each request."""
        return [self.decisions[round_.request_id] for round_ in rounds]

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Offline policies learn from logs, not here."""

    def finish(self, request_id: str) -> None:
        """Decisions are kept for whoever logs them."""
