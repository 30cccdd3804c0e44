"""The base of every policy: it aligns, checks and chooses; a subclass says what is learned and how likely an arm is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, Self, final, overload

import numpy as np
from numpy.typing import ArrayLike

from bandits import checks
from bandits.checks import Bool, Float32, Float64
from bandits.data.array_data import data_of_arrays
from bandits.data.data_stream import DataStream
from bandits.data.decision import Decision
from bandits.data.policy_data import PolicyData
from bandits.encoders.columns import check_names, names_of_frame, names_of_row, shown
from bandits.policies.available_arms import are_names, arm_index, as_mask
from bandits.policies.reward_kind import RewardKind, check_rewards
from bandits.policies.saved_policy import SavedPolicy
from bandits.policies.state import Arrays, PolicyState


class Policy(SavedPolicy, ABC):
    """Chooses an arm for a context and learns from what came of it.

    A subclass writes three methods: `_initial_state`, `_update` and `_probabilities`, each a function of the state that
    it is given, and stores every constructor argument under its own name. All else is derived, checked once here.
    `bandits.testing.check_policy` tests the result.

    What is learned is one `PolicyState`, which is never changed in place: an update builds another and swaps it in by
    one assignment. So one thread may learn while others choose.

    Args:
        arm_names: the arms to choose from; None takes them from the first data.

    Attributes:
        exact_updates: true if updates in any batches give what one fit to all rows gives.
        reward_kind: which rewards it learns from: "any" number, a "share" in [0, 1], or "binary", 0 or 1.
    """

    exact_updates: bool = False
    reward_kind: RewardKind = "any"

    def __init__(self, arm_names: Sequence[str] | None = None) -> None:
        self._own_names = None if arm_names is None else checks.names(arm_names)
        self._state: PolicyState | None = None
        self._prior: PolicyState | None = None  # what is known before any data, kept from one decision to the next

    @abstractmethod
    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return what the policy knows before any data; for each arm the same."""

    @abstractmethod
    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Return what is known after further rows (`state.updated(...)`); the given state stays as it is.

        Args:
            state: what is known so far.
            data: checked rows with the state's arms in its order; `data.feedback()` gives their columns.
        """

    @abstractmethod
    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return the probability with which each arm would be chosen, (n, k) float64; rows sum to 1.

        Args:
            state: what is known.
            contexts: (n, d) float32, finite.
            available: (n, k) bool with an arm in each row, or None for all; the others must get probability 0.
        """

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Return the arms in the order of `probabilities`' columns; empty while none are known."""
        state = self.state
        return state.arm_names if state is not None else self._own_names or ()

    @property
    def state(self) -> PolicyState | None:
        """Return what has been learned; None before the first data."""
        return self._state

    @state.setter
    def state(self, state: PolicyState | None) -> None:
        self._state = state

    @property
    def learned(self) -> PolicyState:
        """Return `state` where the policy must have one."""
        state = self.state
        if state is None:
            raise RuntimeError(f"{type(self).__name__} has learned nothing yet: fit it on data")
        return state

    def start(self, arm_names: Sequence[str], n_features: int, encoder: str | None = None) -> None:
        """Forget everything and begin with these arms and this context size."""
        self.state = replace(self._initial_state(checks.names(arm_names), n_features), encoder=encoder)

    @overload
    def fit(self, contexts: PolicyData, /) -> Self: ...

    @overload
    def fit(
        self,
        contexts: ArrayLike,
        actions: ArrayLike,
        rewards: ArrayLike,
        propensities: ArrayLike | None = None,
        arm_names: Sequence[str] | None = None,
    ) -> Self: ...

    def fit(
        self,
        contexts: PolicyData | ArrayLike,
        actions: ArrayLike | None = None,
        rewards: ArrayLike | None = None,
        propensities: ArrayLike | None = None,
        arm_names: Sequence[str] | None = None,
    ) -> Self:
        """Forget everything, then learn from `fit(data)` or `fit(contexts, actions, rewards, propensities=...)`.

        Args:
            contexts: a data set and nothing else; or (n, d) float32 beside the arrays below.
            actions: (n,) int64, indices into `arm_names`; or (n,) names of arms.
            rewards: (n,) float64; higher is better.
            propensities: (n,) float64 in (0, 1], with which the actions were chosen. Without them nothing is assumed
                about how arms were chosen: `BestFixedArm` takes plain means, `Reinforce` rejects such rows; the other
                policies learn each arm's reward given the context and do not need them.
            arm_names: the arms, by default the policy's own, else those in `actions`.

        Raises:
            TypeError: if a data set and arrays are given at once, or arrays are missing.
            ValueError: as `update` does.
        """
        data = data_of_arrays(contexts, actions, rewards, propensities, arm_names or self._own_names)
        fresh = self._initial_state(self._own_names or data.arm_names, data.n_features)
        self.state = self._with_rows(fresh, data)
        return self

    @overload
    def update(self, contexts: PolicyData, /) -> None: ...

    @overload
    def update(
        self,
        contexts: ArrayLike,
        actions: ArrayLike,
        rewards: ArrayLike,
        propensities: ArrayLike | None = None,
        arm_names: Sequence[str] | None = None,
    ) -> None: ...

    def update(
        self,
        contexts: PolicyData | ArrayLike,
        actions: ArrayLike | None = None,
        rewards: ArrayLike | None = None,
        propensities: ArrayLike | None = None,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        """Learn from further rows, given as to `fit`; arms are matched by name.

        Raises:
            TypeError: as `fit` does.
            ValueError: if the data hold an arm that is unknown here, or contexts of another size or encoder.
        """
        if not isinstance(contexts, PolicyData) or not (actions is rewards is propensities is None):
            contexts = data_of_arrays(contexts, actions, rewards, propensities, arm_names or self.arm_names or None)
        state = self.state or self._before_data(self._own_names or contexts.arm_names, contexts.n_features)
        self.state = self._with_rows(state, contexts)

    def fit_stream(self, stream: DataStream[Any]) -> Self:
        """Forget everything, then learn from data on disk, a batch at a time.

            policy.fit_stream(LoggedData.stream(folder, batch_rows=10_000))

        Memory holds one batch and what the policy has learned. Where `exact_updates` is true the result is
        that of `fit` on all rows; else it is that of `fit` on the first batch and `update` on the others.
        """
        learn = self.fit
        for data in stream:
            learn(data)
            learn = self.update  # type: ignore[assignment]  # what they return is not used
        return self

    def probabilities(self, contexts: ArrayLike, available: ArrayLike | None = None) -> Float64:
        """Return the probability with which each arm would be chosen.

        Args:
            contexts: (n, d) float32.
            available: (n, k) bool, or the names of the arms that may be chosen on every row; None means all
                arms. Others get probability 0.

        Returns:
            (n, k) float64, columns in the order of `arm_names`, rows sum to 1.

        Raises:
            RuntimeError: if no arms are known.
            ValueError: if a context is not finite or has another size, or a row has no available arm.
        """
        state, rows = self._asked(contexts)
        return self._probabilities(state, rows, as_mask(state.arm_names, available, len(rows)))

    @final
    def choose(self, context: ArrayLike, rng: np.random.Generator, available: ArrayLike | None = None) -> Decision:
        """Draw an arm from `probabilities` and report the probability it was drawn with.

        Args:
            context: (d,) float32.
            rng: gives one uniform number.
            available: (k,) bool, or the names of the arms that may be chosen; None means all arms.
        """
        if not hasattr(rng, "random"):
            raise TypeError(f"rng must be a numpy.random.Generator, got {rng!r}")
        if type(context) is not np.ndarray:  # plain arrays have no mask and no names
            checks.check_unmasked(context, "context")
            if self.state is not None:
                check_names(names_of_row(context), self.state.encoder)
        row = np.asarray(context, dtype=np.float32)
        if row.ndim != 1:
            raise ValueError(f"context must have shape (d,), got {row.shape}: choose takes one context")
        if available is not None and not are_names(available):
            available = checks.plain_array(available, "available")[None, :]
        state, rows = self._asked(row[None, :])
        return self._decide(state, rows, as_mask(state.arm_names, available, 1), rng)

    def _decide(
        self, state: PolicyState, context: Float32, available: Bool | None, rng: np.random.Generator
    ) -> Decision:
        """Draw an arm for one checked context, (1, d)."""
        return self._drawn(state, self._probabilities(state, context, available)[0].tolist(), rng)

    def _drawn(self, state: PolicyState, probabilities: list[float], rng: np.random.Generator) -> Decision:
        cumulative = list(accumulate(probabilities))
        total = cumulative[-1]
        if not (abs(total - 1) <= checks.PROBABILITY_TOLERANCE and min(probabilities) >= 0):
            raise RuntimeError(f"{type(self).__name__} must give a distribution, got {probabilities}")
        action = bisect_right(cumulative, rng.random() * total)
        action = min(action, bisect_left(cumulative, total))  # rounding may reach the total itself
        names = state.arm_names
        distribution = dict(zip(names, probabilities, strict=True))
        return Decision(names[action], action, min(probabilities[action], 1.0), distribution)

    def add_arm(self, name: str, like: str | Sequence[str] | None = None, *, rows: float | None = None) -> None:
        """Add an arm, last in order, that starts with no data or with what is known of others.

        Args:
            name: of the arm.
            like: the arm whose knowledge it starts with; or several, of which it takes the mean (`AdditivePolicy`).
            rows: of several, as if it had been seen on so many rows, at most as many as theirs; None for the mean.

        Raises:
            ValueError: if the arm is known already, one of `like` is not, or several have no mean here.
        """
        grown = checks.names((*self.arm_names, name))
        places = [arm_index(self.arm_names, one) for one in ((like,) if isinstance(like, str) else like or ())]
        state = self.state
        if state is not None:
            known = self._initial_state((name,), state.n_features).per_arm
            if like is not None and isinstance(like, str):
                known = {key: array[places] for key, array in state.per_arm.items()}
            elif places:
                known = self._pooled(state, places, known, rows)
            self.state = state.with_arm(name, known)
        self._own_names = grown

    def _pooled(self, state: PolicyState, places: Sequence[int], prior: Arrays, rows: float | None) -> Arrays:
        """Return what an arm starts with that is like several."""
        raise ValueError(f"{type(self).__name__} cannot start an arm with the mean of several: give one in like")

    def remove_arm(self, name: str) -> None:
        """Forget an arm; the others keep what was learned, and old logs keep their meaning by name."""
        names, state = self.arm_names, self.state
        index = arm_index(names, name)
        if len(names) == 1:
            raise ValueError(f"{name!r} is the only arm: a policy must keep at least one")
        if state is not None:
            self.state = state.without_arm(index)
        self._own_names = names[:index] + names[index + 1 :]

    def _argument(self, name: str) -> object:
        return self._own_names if name == "arm_names" else getattr(self, name)

    def _before_data(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return the initial state, made once for these arms and this size."""
        prior = self._prior
        if prior is None or (prior.arm_names, prior.n_features) != (arm_names, n_features):
            prior = self._prior = self._initial_state(arm_names, n_features)
        return prior

    def _asked(self, contexts: ArrayLike) -> tuple[PolicyState, Float32]:
        """Return the state, read once, and checked contexts; a policy without data acts on its prior."""
        state = self.state
        if state is not None:
            if not isinstance(contexts, np.ndarray):
                check_names(names_of_frame(contexts), state.encoder)
            return state, checks.contexts(contexts, state.n_features)
        if not self._own_names:
            raise RuntimeError(f"{type(self).__name__} knows no arms yet: pass arm_names, or fit it on data")
        rows = checks.contexts(contexts)
        return self._before_data(self._own_names, rows.shape[1]), rows

    def _with_rows(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Check and align the data, and return what is known after them."""
        if data.n_features != state.n_features:
            raise ValueError(f"contexts must have {state.n_features} features, the data have {data.n_features}")
        if data.encoder is not None and state.encoder is not None and data.encoder != state.encoder:
            raise ValueError(
                f"the policy learned from encoder {shown(state.encoder)}, the data are from {shown(data.encoder)}"
            )
        check_rewards(data, self.reward_kind, type(self).__name__)
        encoder = state.encoder or data.encoder
        aligned = data if data.arm_names == state.arm_names else data.with_arms(state.arm_names)
        new = self._update(state, aligned)
        n_rows = state.n_rows + len(data)
        return PolicyState(new.arm_names, new.n_features, new.per_arm, new.shared, encoder, n_rows, new.derived)
