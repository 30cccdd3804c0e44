"""A policy of any scikit-learn regressor."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol, Self, cast, runtime_checkable

import numpy as np

from arms.optional_import import optional_import
from arms.plugin import resolve_plugin
from bandits.checks import Float32, Float64, Int64, at_least, whole
from bandits.policies.kept_rows import ArmKey, KeptRows
from bandits.policies.state import PolicyState

_DEFAULT = "sklearn.ensemble:GradientBoostingRegressor"


@runtime_checkable
class Regressor(Protocol):
    """What `Regression` needs of an estimator; every scikit-learn regressor and pipeline has it."""

    def fit(self, x: Float64, y: Float64) -> object:
        """Learn from contexts (n, d) and rewards (n,)."""

    def predict(self, x: Float64) -> Float64:
        """Return predicted rewards (n,)."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments."""

    def set_params(self, **params: object) -> Self:
        """Change constructor's arguments."""


class Regression(KeptRows):
    """Chooses the arm of the highest predicted reward, with one regressor an arm of any kind that scikit-learn has.

    All rows are kept. An arm's regressor is fitted anew, from all its rows, at the first choice after new ones; the
    others stay. So an update is cheap and the choice after it costs a fit: meant for batches of feedback. Every choice
    is greedy: wrap it to explore, `EpsilonGreedy(Regression(...))` or `Softmax(Regression(...))`.

    A saved policy holds the estimator's class and parameters and the rows, never a pickle, and is fitted again after it
    is loaded. So only scikit-learn's own estimators with parameters that are JSON values can be saved; `save` rejects
    others.

    Args:
        estimator: the regressor, which itself stays unfitted; or its path, "sklearn.ensemble:RandomForestRegressor".
            None takes gradient-boosted trees.
        min_rows: an arm with fewer rows predicts their mean; one without any predicts -inf.
        seed: given to every parameter `random_state` that is None, so that the same rows give the same policy.
        arm_names: see `Policy`.

    Raises:
        ImportError: if scikit-learn is missing (extra `sklearn`).
        TypeError: if the estimator lacks fit, predict, get_params or set_params.
    """

    def __init__(
        self,
        estimator: Regressor | str | Mapping[str, Any] | None = None,
        *,
        min_rows: int = 2,
        seed: int = 0,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(arm_names)
        if isinstance(estimator, Mapping):  # as a saved policy's JSON has it
            estimator = _restored(estimator)
        self.estimator = regressor_of(estimator, "estimator")
        self.min_rows = at_least(min_rows, 1, "min_rows")
        self.seed = whole(seed, 0, 2**32 - 1, "seed")  # as scikit-learn takes it

    def saved_params(self) -> dict[str, object]:
        """Return the arguments, the estimator as its class and parameters.

        Raises:
            TypeError: if it is not one of scikit-learn's own, or a parameter is no JSON value.
        """
        cls = type(self.estimator)
        package, _, _ = cls.__module__.partition("._")
        path = f"{package}:{cls.__qualname__}"
        if not path.startswith("sklearn."):
            raise TypeError(
                f"only scikit-learn's own estimators can be saved, because loading imports no other: {path}"
            )
        params = self.estimator.get_params(deep=False)
        try:
            json.dumps(params, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{self.estimator!r} cannot be saved: a parameter is no JSON value ({error})") from error
        return self.get_params() | {"estimator": {"class": path, "params": params}}

    def _predict_rewards(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return each arm's predicted reward; -inf for an arm without rows."""
        return np.asarray(self._predicted(state, contexts, [(self.seed, None)])[0])

    def _predicted(
        self, state: PolicyState, contexts: Float32, replicates: Sequence[tuple[int, Int64 | None]]
    ) -> Float64:
        """Return each arm's prediction (b, n, k) by b regressors, of a seed and of rows taken so many times (n,).

        None takes each once, and so do counts that leave an arm none of its rows.
        """
        predicted = np.full((len(replicates), len(contexts), len(state.arm_names)), -np.inf)
        rows, settings = contexts.astype(np.float64), repr(self.estimator.get_params())
        for arm, n_rows in enumerate(self._n_rows(state).tolist()):
            for place, (seed, counts) in enumerate(replicates):
                if n_rows >= self.min_rows:
                    key = ArmKey("regressor", arm, (counts is None, len(replicates), seed, settings))
                    make = partial(self._fitted, state, arm, seed, counts)
                    predicted[place, :, arm] = state.derive(key, make).predict(rows)
                elif n_rows > 0:
                    own = _own_rows(state, arm, counts)
                    rewards, weights = state.per_arm["rewards"][arm, own], state.per_arm["weights"][arm, own]
                    predicted[place, :, arm] = np.average(rewards, weights=weights)
        return predicted

    def _n_rows(self, state: PolicyState) -> Int64:
        """Return how many rows each arm has, (k,) int64."""
        return state.derive("rows of arms", lambda: np.asarray((state.per_arm["weights"] > 0).sum(axis=1)))

    def _fitted(self, state: PolicyState, arm: int, seed: int, counts: Int64 | None) -> Regressor:
        own = _own_rows(state, arm, counts)
        contexts = state.shared["contexts"][own].astype(np.float64)
        rewards, weights = state.per_arm["rewards"][arm, own], state.per_arm["weights"][arm, own]
        return fitted_regressor(self.estimator, contexts, rewards, weights, seed)


def _own_rows(state: PolicyState, arm: int, counts: Int64 | None) -> Int64:
    """Return the rows of an arm, each as often as it counts; all of them once where that leaves none."""
    own = np.flatnonzero(state.per_arm["weights"][arm] > 0)
    return np.repeat(own, counts[own]) if counts is not None and counts[own].any() else own


def regressor_of(given: Regressor | str | None, what: str) -> Regressor:
    """Return the regressor that was given, or made from its path; None makes gradient-boosted trees.

    Args:
        given: see `Regression`.
        what: the argument's name, for the error.

    Raises:
        ImportError: if scikit-learn is missing (extra `sklearn`).
        TypeError: if it lacks fit, predict, get_params or set_params.
    """
    optional_import("sklearn", "sklearn")
    regressor = _made(given or _DEFAULT, {}) if given is None or isinstance(given, str) else given
    lacks = [name for name in ("fit", "predict", "get_params", "set_params") if not hasattr(regressor, name)]
    if isinstance(regressor, type) or lacks:
        why = f" (it lacks {', '.join(lacks)})" if lacks else ""
        raise TypeError(f"{what} must be a scikit-learn regressor (an instance), got {regressor!r}{why}")
    return regressor


def fitted_regressor(regressor: Regressor, rows: Float64, rewards: Float64, weights: Float64, seed: int) -> Regressor:
    """Return a copy that learned from rows (n, d) and rewards (n,), each row as often as its weight says.

    Args:
        regressor: stays as it is.
        rows: (n, d) float64.
        rewards: (n,) float64.
        weights: (n,) float64.
        seed: given to every parameter `random_state` that is None.

    Raises:
        ValueError: if weights are not all 1 and the regressor takes none.
    """
    base, validation = (
        optional_import("sklearn.base", "sklearn"),
        optional_import("sklearn.utils.validation", "sklearn"),
    )
    copy = cast("Any", base.clone(regressor))
    names = [name for name, value in copy.get_params(deep=True).items() if value is None]
    copy.set_params(**{name: seed for name in names if name.split("__")[-1] == "random_state"})
    if (weights == 1.0).all():
        return cast("Regressor", copy.fit(rows, rewards))
    if not validation.has_fit_parameter(copy, "sample_weight"):
        raise ValueError(f"the rows have weights, which {type(copy).__name__} cannot take: leave them out")
    return cast("Regressor", copy.fit(rows, rewards, sample_weight=weights))


def _restored(description: Mapping[str, Any]) -> Regressor:
    """Return the estimator that a file describes, importing it from scikit-learn and from nowhere else."""
    path, params = description.get("class"), description.get("params")
    if not (isinstance(path, str) and path.startswith("sklearn.") and isinstance(params, Mapping)):
        raise ValueError(f"estimator must be one of scikit-learn's own with its parameters, got {description!r:.80}")
    return _made(path, params)


def _made(path: str, params: Mapping[str, Any]) -> Regressor:
    return cast("Regressor", resolve_plugin(path, object, "estimator")(**params))
