"""A bandit policy at the wheel of the engine: one choice per query, kept for all its rounds."""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from bandits import ContextEncoder, Decision, Policy
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector
from speculative.selectors.prefill_encoder import encode_query


class PolicySelector(Selector):
    """Encodes a query once, after the target's prefill, and lets the policy choose its arm.

    Args:
        policy: fitted; its arms are matched to the engine's by name.
        encoder: the one its training contexts came from.
        arm_names: the engine's arms in order.
        rng: the policy draws from it.

    Attributes:
        decisions: request id to the choice made, with its propensity.
        contexts: request id to the (d,) float32 features that it was made from.
        seconds: request id to the seconds that encoding and choosing took.

    Raises:
        ValueError: if the policy knows no arm, or one that the engine lacks, or learned from another
            encoder's contexts.
    """

    def __init__(
        self, policy: Policy, encoder: ContextEncoder, arm_names: Sequence[str], rng: np.random.Generator
    ) -> None:
        if not policy.arm_names:
            raise ValueError("the policy knows no arms yet: fit it, or give it arm_names")
        unknown = [name for name in policy.arm_names if name not in arm_names]
        if unknown:
            raise ValueError(
                f"the policy chooses among {', '.join(policy.arm_names)}, but the pool has no arm "
                f"{unknown[0]!r} (its arms: {', '.join(arm_names)})"
            )
        state = policy.state
        if state is not None and state.encoder not in (None, encoder.name):
            raise ValueError(
                f"the policy learned from contexts of {state.encoder!r}, the pool encodes with {encoder.name!r}"
            )
        if state is not None and state.n_features != encoder.n_features:
            raise ValueError(
                f"the policy learned from contexts of {state.n_features} features, the pool's encoder "
                f"{encoder.name!r} gives {encoder.n_features}"
            )
        self._policy, self._encoder, self._rng = policy, encoder, rng
        self._blas = ThreadpoolController()
        self._index = {name: i for i, name in enumerate(arm_names)}
        self.decisions: dict[str, Decision] = {}
        self.contexts: dict[str, npt.NDArray[np.float32]] = {}
        self.seconds: dict[str, float] = {}

    def start(self, query: QueryState) -> None:
        """Choose for the whole query."""
        begin = time.perf_counter()
        context = encode_query(self._encoder, query)
        # A BLAS that has used several threads keeps them spinning for a while, on the cores that decoding needs next.
        with self._blas.limit(limits=1, user_api="blas"):
            chosen = self._policy.choose(context, self._rng)
        decision = Decision(chosen.arm, self._index[chosen.arm], chosen.propensity)
        self.decisions[query.request.id] = decision
        self.contexts[query.request.id] = context
        self.seconds[query.request.id] = time.perf_counter() - begin

    def probabilities(self, request_id: str) -> dict[str, float]:
        """With what chance each arm was to be chosen for a request, for whoever explains the choice."""
        row = self._policy.probabilities(self.contexts[request_id][None])[0].tolist()
        return dict(zip(self._policy.arm_names, row, strict=True))

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """The choice already made for each request."""
        return [self.decisions[round_.request_id].action for round_ in rounds]

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Offline policies learn from logs, not here."""

    def finish(self, request_id: str) -> None:
        """Decisions are kept for whoever logs them."""
