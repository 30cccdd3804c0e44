"""A bandit policy at the wheel of the engine: one choice per query, kept for all its rounds."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from bandits import ContextEncoder, Decision, DecisionLog, Policy
from bandits.encoders.encoder import check_same_encoder
from bandits.online import PolicyVersion
from speculative.protocols.selector import QueryState, RoundContext, Selector
from speculative.selectors.prefill_encoder import encode_query


@dataclass(frozen=True, slots=True)
class PolicyChoice:
    """The choice that a policy made for a whole request.

    Attributes:
        request_id: the request.
        decision: arm, propensity and the distribution drawn from, in the policy's terms.
        action: index of the arm among the engine's arms.
        context: (d,) float32 features that the choice was made from.
        seconds: what encoding, choosing and logging took.
    """

    request_id: str
    decision: Decision
    action: int
    context: npt.NDArray[np.float32]
    seconds: float


class PolicySelector(Selector):
    """Encodes a query once, after the target's prefill, and lets the policy choose its arm.

    A choice is kept while its request runs and handed to `on_finish` when it ends; nothing is kept after that.

    Args:
        policy: fitted; its arms are matched to the engine's by name.
        encoder: the one its training contexts came from.
        arm_names: the engine's arms in order.
        rng: the policy draws from it.
        on_finish: called with the choice of each request that has ended or was cancelled.
        log: each choice is written there before a draft runs, under the request's id; whoever values the request
            calls `log.rewarded`.

    Raises:
        ValueError: if the policy knows no arm, or one that the engine lacks, or learned from another
            encoder's contexts.
    """

    def __init__(
        self,
        policy: Policy,
        encoder: ContextEncoder,
        arm_names: Sequence[str],
        rng: np.random.Generator,
        *,
        on_finish: Callable[[PolicyChoice], None] | None = None,
        log: DecisionLog | None = None,
    ) -> None:
        if not policy.arm_names:
            raise ValueError("the policy knows no arms yet: fit it, or give it arm_names")
        unknown = [name for name in policy.arm_names if name not in arm_names]
        if unknown:
            raise ValueError(
                f"the policy chooses among {', '.join(policy.arm_names)}, but there is no arm "
                f"{unknown[0]!r} (there are: {', '.join(arm_names)})"
            )
        _check_encoder(policy, encoder)
        self._policy, self._encoder, self._rng, self._on_finish = policy, encoder, rng, on_finish
        self._log, self._version = log, PolicyVersion(type(policy).__name__, "0", encoder.name)
        self._blas = ThreadpoolController()
        self._action_of = {name: action for action, name in enumerate(arm_names)}
        self._choices: dict[str, PolicyChoice] = {}

    def start(self, query: QueryState) -> None:
        """Choose for the whole query."""
        begin = time.perf_counter()
        context = encode_query(self._encoder, query)
        # A BLAS that has used several threads keeps them spinning for a while, on the cores that decoding needs next.
        with self._blas.limit(limits=1, user_api="blas"):
            decision = self._policy.choose(context, self._rng)
        name = query.request.id
        if self._log is not None:
            self._log.decided(self._log.next_number(), name, context, decision, self._version)
        seconds = time.perf_counter() - begin
        self._choices[name] = PolicyChoice(name, decision, self._action_of[decision.arm], context, seconds)

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Return the choice already made for each request."""
        return [self._choices[round_.request_id].action for round_ in rounds]

    def finish(self, request_id: str) -> None:
        """Hand the choice over and forget it."""
        choice = self._choices.pop(request_id, None)  # None where `start` raised
        if choice is not None and self._on_finish is not None:
            self._on_finish(choice)


def _check_encoder(policy: Policy, encoder: ContextEncoder) -> None:
    state = policy.state
    if state is None:
        return
    check_same_encoder("the policy", state.encoder, "the pool", encoder.name)
    if state.n_features != encoder.n_features:
        raise ValueError(
            f"the policy learned from contexts of {state.n_features} features, the pool's encoder "
            f"{encoder.name!r} gives {encoder.n_features}"
        )
