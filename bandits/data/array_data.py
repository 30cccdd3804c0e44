"""Contexts, actions and rewards as plain arrays, turned into a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bandits import checks
from bandits.data.full_information_data import FullInformationData
from bandits.data.logged_data import LoggedData
from bandits.data.policy_data import PolicyData
from bandits.encoders.columns import mark_of_names, names_of_frame

Data = FullInformationData | LoggedData


def data_of_arrays(
    contexts: PolicyData | ArrayLike,
    actions: ArrayLike | None = None,
    rewards: ArrayLike | None = None,
    propensities: ArrayLike | None = None,
    arm_names: Sequence[str] | None = None,
) -> PolicyData:
    """Return a data set given as such, or the one that arrays make.

    Args:
        contexts: a data set and nothing else; or (n, d) float32.
        actions: (n,) int64, indices into `arm_names`; or (n,) names of arms.
        rewards: (n,) float64.
        propensities: (n,) float64 in (0, 1]. With them the rows are a log. Without them they are rows on which one arm
            is observed, and nothing is assumed about how it was chosen.
        arm_names: by default the names in `actions`, in order of appearance, or "0", "1", ... for integers.

    Raises:
        TypeError: if a data set and arrays are given at once, or arrays are missing.
        ValueError: if an array breaks its rule.
    """
    others = {"actions": actions, "rewards": rewards, "propensities": propensities}
    given = [name for name, value in others.items() if value is not None]
    if isinstance(contexts, PolicyData):
        if given:
            raise TypeError(f"give one data set or arrays, not both: got {type(contexts).__name__} and {given[0]}")
        return contexts
    if actions is None or rewards is None:
        raise TypeError(
            "learning takes FullInformationData or LoggedData, or the arrays contexts, actions and rewards; "
            f"got {type(contexts).__name__} and {', '.join(given) or 'nothing else'}"
        )
    rows, encoder = checks.data_contexts(contexts), mark_of_names(names_of_frame(contexts))
    names, indices = _named(actions, None if arm_names is None else checks.names(arm_names))
    if propensities is not None:
        return LoggedData(rows, indices, rewards, propensities, names, encoder=encoder)  # type: ignore[arg-type]  # checked there
    values: checks.Float64 = checks.vector(rewards, "rewards", np.float64, len(rows))
    checks.finite(values, "rewards")
    places = checks.actions(indices, len(rows), names)
    observed = np.zeros((len(rows), len(names)), np.bool_)
    observed[np.arange(len(rows)), places] = True
    return FullInformationData(
        rows, np.where(observed, values[:, None], 0.0), names, observed=observed, encoder=encoder
    )


def _named(actions: ArrayLike, arm_names: tuple[str, ...] | None) -> tuple[tuple[str, ...], checks.Int64]:
    """Return the arms' names and the actions as indices into them."""
    raw = checks.plain_array(actions, "actions")
    if raw.ndim == 1 and raw.dtype.kind in "UO" and all(isinstance(value, str) for value in raw.tolist()):
        texts: list[str] = raw.tolist()
        names = arm_names or checks.names(tuple(dict.fromkeys(texts)), "actions")
        place = {name: index for index, name in enumerate(names)}
        for row, text in enumerate(texts):
            if text not in place:
                raise ValueError(f"actions: row {row} is {text!r}, which is not among the arms {', '.join(names)}")
        return names, np.array([place[text] for text in texts], dtype=np.int64)
    if arm_names is None and raw.dtype.kind in "iu" and raw.size:
        arm_names = tuple(str(index) for index in range(int(raw.max()) + 1))
    return arm_names or ("0",), raw
