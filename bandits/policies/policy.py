"""The interface that every policy has: learn from data, say probabilities, choose."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Self, cast, final

import numpy as np
from numpy.typing import ArrayLike

from bandits import checks
from bandits.checks import Bool, Float32, Float64
from bandits.data.decision import Decision
from bandits.data.full_information_data import FullInformationData
from bandits.data.logged_data import LoggedData
from bandits.data.policy_data import DataStream

Data = FullInformationData | LoggedData


@dataclass(eq=False)
class PolicyState:
    """All that a policy has learned, as named arrays; saving, adding and removing arms need nothing else.

    Attributes:
        arm_names: the k arms.
        n_features: d, the size of a context.
        per_arm: arrays whose first axis counts the arms.
        shared: arrays that belong to no arm. In both, an axis that begins at length 0 may grow with the rows
            learned from; an arm added later has zeros there.
        encoder: name of the context encoder of the data learned from, where they told it.
    """

    arm_names: tuple[str, ...]
    n_features: int
    per_arm: dict[str, np.ndarray] = field(default_factory=dict)
    shared: dict[str, np.ndarray] = field(default_factory=dict)
    encoder: str | None = None


class Policy(ABC):
    """Chooses an arm for a context and learns from what came of it.

    A subclass writes three methods: `initial_state`, `update` and `probabilities`. It keeps what it learns in
    `self.state`, calls `self.align(data)` first in `update` and `self.check(contexts, available)` first in
    `probabilities`, and stores every constructor argument under its own name. Saving, loading, adding and
    removing arms, `fit` and `choose` are derived. `bandits.testing.policies.check_policy` tests the result.

    Args:
        arm_names: the arms to choose from; None takes them from the first data.

    Attributes:
        exact_updates: true if updates in any batches give what one fit to all rows gives.
    """

    exact_updates: bool = False

    def __init__(self, arm_names: Sequence[str] | None = None) -> None:
        self._own_names = None if arm_names is None else checks.names(arm_names)
        self._state: PolicyState | None = None

    @abstractmethod
    def initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return what the policy knows before any data; for each arm the same."""

    @abstractmethod
    def update(self, data: Data) -> None:
        """Learn from further rows; arms are matched by name.

        Raises:
            ValueError: if the data hold an arm that is unknown here, or contexts of another size or encoder.
        """

    @abstractmethod
    def probabilities(self, contexts: ArrayLike, available: ArrayLike | None = None) -> Float64:
        """Return the probability with which each arm would be chosen.

        Args:
            contexts: (n, d) float32.
            available: (n, k) bool, or the names of the arms that may be chosen on every row; None means all
                arms. Others get probability 0.

        Returns:
            (n, k) float64, columns in the order of `arm_names`, rows sum to 1.

        Raises:
            ValueError: if a context is not finite or has another size, or a row has no available arm.
        """

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Return the arms in the order of `probabilities`' columns; empty while none are known."""
        return self.state.arm_names if self.state is not None else self._own_names or ()

    @property
    def state(self) -> PolicyState | None:
        """Return what has been learned; None before the first data or context."""
        return self._state

    @state.setter
    def state(self, state: PolicyState | None) -> None:
        self._state = state

    def start(self, arm_names: Sequence[str], n_features: int, encoder: str | None = None) -> None:
        """Forget everything and begin with these arms and this context size."""
        self.state = self.initial_state(checks.names(arm_names), n_features)
        self.state.encoder = encoder

    def fit(self, data: Data) -> Self:
        """Forget everything, then learn from `data`; takes the data's arms if none were given."""
        _check_kind(data)
        self.start(self._own_names or data.arm_names, data.n_features, data.encoder)
        self.update(data)
        return self

    def fit_stream(self, stream: DataStream[Any]) -> Self:
        """Forget everything, then learn from data on disk, a batch at a time.

            policy.fit_stream(LoggedData.stream(folder, batch_rows=10_000))

        Memory holds one batch and what the policy has learned. Where `exact_updates` is true the result is
        that of `fit` on all rows; else it is that of `fit` on the first batch and `update` on the others.
        """
        fitted = False
        for data in stream:
            if fitted:
                self.update(data)
            else:
                self.fit(data)
                fitted = True
        return self

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
        row = np.asarray(context, dtype=np.float32)
        if row.ndim != 1:
            raise ValueError(f"context must have shape (d,), got {row.shape}: choose takes one context")
        if available is not None and not _are_names(available):
            available = np.asarray(available)[None, :]
        chances = self.probabilities(row[None, :], available)[0].tolist()
        cumulative = list(accumulate(chances))
        total = cumulative[-1]
        if not (abs(total - 1) <= checks.PROBABILITY_TOLERANCE and min(chances) >= 0):
            raise RuntimeError(f"{type(self).__name__}.probabilities must give a distribution, got {chances}")
        action = bisect_right(cumulative, rng.random() * total)
        action = min(action, bisect_left(cumulative, total))  # rounding may reach the total itself
        names = self.arm_names
        return Decision(names[action], action, min(chances[action], 1.0), dict(zip(names, chances, strict=True)))

    def add_arm(self, name: str, like: str | None = None) -> None:
        """Add an arm, last in order, that starts with no data or with what is known of the arm `like`."""
        grown = checks.names((*self.arm_names, name))
        if like is not None:
            self._index(like)
        self._own_names = grown
        state = self.state
        if state is None:
            return
        fresh = self.initial_state((name,), state.n_features).per_arm
        for key, array in state.per_arm.items():
            row = array[[self._index(like)]] if like is not None else fresh[key]
            if row.shape[1:] != array.shape[1:]:  # an array that grows with the rows
                row = np.zeros((1, *array.shape[1:]), array.dtype)
            state.per_arm[key] = np.concatenate([array, row])
        state.arm_names = grown

    def remove_arm(self, name: str) -> None:
        """Forget an arm; the others keep what was learned, and old logs keep their meaning by name."""
        index = self._index(name)
        if len(self.arm_names) == 1:
            raise ValueError(f"{name!r} is the only arm: a policy must keep at least one")
        shrunk = self.arm_names[:index] + self.arm_names[index + 1 :]
        self._own_names = shrunk
        if self.state is not None:
            for key, array in self.state.per_arm.items():
                self.state.per_arm[key] = np.delete(array, index, axis=0)
            self.state.arm_names = shrunk

    def align(self, data: Data) -> Data:
        """Return `data` with columns (or actions) in this policy's order; start from the prior if need be.

        Raises:
            ValueError: if the data hold an unknown arm, or contexts of another size or encoder.
        """
        _check_kind(data)
        if self.state is None:
            self.start(self._own_names or data.arm_names, data.n_features, data.encoder)
        state = self.learned
        if data.n_features != state.n_features:
            raise ValueError(f"contexts must have {state.n_features} features, the data have {data.n_features}")
        if data.encoder is not None and state.encoder is not None and data.encoder != state.encoder:
            raise ValueError(f"the policy learned from encoder {state.encoder!r}, the data are from {data.encoder!r}")
        state.encoder = state.encoder or data.encoder
        return data if data.arm_names == state.arm_names else data.with_arms(state.arm_names)

    def check(self, contexts: ArrayLike, available: ArrayLike | None) -> tuple[Float32, Bool | None]:
        """Return checked contexts and availability; a policy without data acts on its prior.

        Raises:
            RuntimeError: if no arms are known.
            ValueError: see `probabilities`.
        """
        if self.state is None:
            if not self._own_names:
                raise RuntimeError(f"{type(self).__name__} knows no arms yet: pass arm_names, or fit it on data")
            self.start(self._own_names, checks.contexts(contexts).shape[1])
        rows = checks.contexts(contexts, self.learned.n_features)
        return rows, None if available is None else self.mask(available, len(rows))

    def mask(self, available: ArrayLike, n_rows: int) -> Bool:
        """Return `available`, a mask or names of arms, as (n_rows, k) bool.

        Raises:
            ValueError: if the mask has another shape, a name is unknown, or a row has no available arm.
        """
        if not _are_names(available):
            return checks.availability(available, n_rows, len(self.arm_names))
        row = np.zeros(len(self.arm_names), np.bool_)
        for name in cast("Sequence[str]", available):
            row[self._index(name)] = True
        return np.broadcast_to(row, (n_rows, len(row)))

    @property
    def learned(self) -> PolicyState:
        """Return `state` where the policy must have one."""
        if self.state is None:
            raise RuntimeError(f"{type(self).__name__} has learned nothing yet: fit it on data")
        return self.state

    def get_params(self, deep: bool = False) -> dict[str, object]:
        """Return the constructor's arguments, from which an unfitted copy can be made.

        Args:
            deep: also return the arguments of a policy inside, as `policy__epsilon`.
        """
        names = [name for name in inspect.signature(type(self).__init__).parameters if name != "self"]
        params = {name: self._own_names if name == "arm_names" else getattr(self, name) for name in names}
        inner = {name: value for name, value in params.items() if deep and isinstance(value, Policy)}
        return params | {f"{name}__{key}": v for name, p in inner.items() for key, v in p.get_params(deep).items()}

    def set_params(self, **params: object) -> Self:
        """Change constructor arguments and forget what was learned; `policy__epsilon=0.1` reaches inside.

        Raises:
            ValueError: if an argument is unknown or its value is refused; then nothing is changed.
        """
        values: dict[str, Any] = self.get_params()
        inside: dict[str, dict[str, object]] = {}
        for key, value in params.items():
            name, nested, rest = key.partition("__")
            if name not in values or (nested and not isinstance(values[name], Policy)):
                raise ValueError(f"{type(self).__name__} has no argument {key!r}; it has {', '.join(values)}")
            if nested:
                inside.setdefault(name, {})[rest] = value
            else:
                values[name] = value
        copies: dict[str, Any] = {name: v.clone() if isinstance(v, Policy) else v for name, v in values.items()}
        for name, changes in inside.items():
            copies[name].set_params(**changes)
        changed = type(self)(**copies)
        vars(self).clear()
        vars(self).update(vars(changed))
        return self

    def clone(self) -> Self:
        """Return an unfitted policy with the same parameters."""
        params = self.get_params()
        copies: dict[str, Any] = {name: v.clone() if isinstance(v, Policy) else v for name, v in params.items()}
        return type(self)(**copies)

    def save(self, path: str | Path) -> Path:
        """Write the policy as safetensors with JSON metadata; see `bandits.load_policy`."""
        from bandits.policies.codec import save_policy

        return save_policy(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote, also for classes of your own.

        Raises:
            ValueError: if the file is damaged, from a newer version, or holds a policy of another class.
        """
        from bandits.policies.codec import load_policy

        policy = load_policy(path, classes=(cls,))
        if not isinstance(policy, cls):
            raise ValueError(f"{path} holds a {type(policy).__name__}, not a {cls.__name__}")
        return policy

    def _index(self, name: str) -> int:
        if name not in self.arm_names:
            raise ValueError(f"unknown arm {name!r}; the policy's arms are {', '.join(self.arm_names) or '(none)'}")
        return self.arm_names.index(name)


def uniform_over(mask: Bool) -> Float64:
    """Return (n, k) float64: equal probability for the true entries of each row."""
    counts = np.add.reduce(mask, axis=1, dtype=np.float64)
    return cast("Float64", mask / counts[:, None])


def greedy(scores: Float64, available: Bool | None) -> Float64:
    """Return all probability on the best available score of each row; ties share it equally.

    Args:
        scores: (n, k) float64; -inf marks an arm that is chosen only when all available ones are -inf.
        available: (n, k) bool or None for all.
    """
    if available is None:
        if len(scores) == 1:  # a single decision: plain floats are faster than arrays
            row = scores[0].tolist()
            best = max(row)
            share = 1.0 / row.count(best)
            return np.array([[share if score == best else 0.0 for score in row]])
        return uniform_over(scores == np.maximum.reduce(scores, axis=1)[:, None])
    best = np.maximum.reduce(np.where(available, scores, -np.inf), axis=1)[:, None]
    return uniform_over((scores == best) & available)


def _check_kind(data: object) -> None:
    if not isinstance(data, FullInformationData | LoggedData):
        raise TypeError(f"a policy learns from FullInformationData or LoggedData, got {type(data).__name__}")


def _are_names(available: ArrayLike) -> bool:
    if not isinstance(available, list | tuple):
        return False
    if len(available) == 0:
        raise ValueError("available must name at least one arm, or be a mask; got nothing")
    return isinstance(available[0], str)
