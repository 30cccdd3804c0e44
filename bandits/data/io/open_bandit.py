"""To and from Open Bandit Pipeline's dictionary of bandit feedback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from bandits import checks
from bandits.data.logged_data import LoggedData
from bandits.encoders.columns import ColumnFeatures

_NEEDED = ("n_rounds", "n_actions", "context", "action", "reward", "pscore")


def from_open_bandit(feedback: Mapping[str, object], arm_names: Sequence[str] | None = None) -> LoggedData:
    """Read a bandit feedback dictionary as Open Bandit Pipeline's data sets give it.

    Where decisions were made at several positions, the position is added to the contexts, one 0/1 feature
    each: propensities differ by position. `pi_b`, the whole distribution of the logging policy, is read where
    it is there and there is one position. `action_context` (features of arms) has no place in a log: keep it
    for a policy that takes arm features.

    Args:
        feedback: keys n_rounds, n_actions, context (n, d), action (n,), reward (n,), pscore (n,) or None, and
            optionally position (n,) or None, pi_b (n, k, 1), action_context, propensities_estimated (a bool that
            `to_open_bandit` writes and Open Bandit Pipeline ignores).
        arm_names: a name an action; None names them "0", "1", ...

    Raises:
        ValueError: if a key is missing, sizes disagree, or a value breaks a rule of `LoggedData`; a log without
            pscore goes through `arm_frequencies` and `estimate_propensities`.
    """
    missing = [key for key in _NEEDED if key not in feedback]
    if missing:
        raise ValueError(f"feedback needs the key {missing[0]!r}; it has {', '.join(map(str, feedback))}")
    if feedback["pscore"] is None:
        raise ValueError("feedback has no pscore: build a LoggedData with arm_frequencies, then estimate_propensities")
    n, k = (checks.at_least(cast("int", feedback[key]), 1, key) for key in ("n_rounds", "n_actions"))
    names = checks.names(arm_names if arm_names is not None else [str(index) for index in range(k)])
    if len(names) != k:
        raise ValueError(f"arm_names must hold {k} names (n_actions), got {len(names)}")
    contexts = checks.data_contexts(_array(feedback, "context"), n_rows=n)
    positions = None if feedback.get("position") is None else np.asarray(_array(feedback, "position"))
    single, features = True, None
    if positions is not None:
        levels = np.unique(checks.vector(positions, "position", np.int64, n))
        single = len(levels) == 1
        if not single:
            columns = {f"context_{index}": None for index in range(contexts.shape[1])}
            features = ColumnFeatures(columns | {"position": tuple(map(str, levels.tolist()))})
            contexts = np.concatenate([contexts, (positions[:, None] == levels).astype(np.float32)], axis=1)
    whole = feedback.get("pi_b")
    probabilities = None if whole is None or not single else np.asarray(_array(feedback, "pi_b"), dtype=np.float64)
    if probabilities is not None and probabilities.ndim == 3:
        probabilities = probabilities[:, :, 0] if probabilities.shape[2] == 1 else None
    log = LoggedData(
        contexts=contexts,
        actions=checks.actions(_array(feedback, "action"), n, names),
        rewards=checks.vector(_array(feedback, "reward"), "reward", np.float64, n),
        propensities=checks.propensities(_array(feedback, "pscore"), n),
        arm_names=names,
        action_probabilities=probabilities,
        encoder=None if features is None else features.name,
        propensities_estimated=bool(feedback.get("propensities_estimated", False)),
    )
    if probabilities is None:
        log.warn_if_deterministic()
    return log


def to_open_bandit(log: LoggedData) -> dict[str, object]:
    """Return a log as a bandit feedback dictionary, for Open Bandit Pipeline's estimators and learners.

    One position; `action_context` is one 0/1 feature an arm, as Open Bandit Pipeline has it by default. What
    the dictionary has no key for (availability, costs, ids) is left out.

    Raises:
        ValueError: if rows have weights or unavailable arms, which the dictionary cannot say.
    """
    if log.weights is not None or log.available is not None:
        what = "weights" if log.weights is not None else "available"
        raise ValueError(f"Open Bandit Pipeline's dictionary cannot hold {what}, and this log has it")
    probabilities = log.action_probabilities
    return {
        "n_rounds": len(log),
        "n_actions": log.n_arms,
        "context": log.contexts.astype(np.float64),
        "action_context": np.eye(log.n_arms),
        "action": log.actions.copy(),
        "position": None,
        "reward": log.rewards.copy(),
        "pscore": log.propensities.copy(),
        "pi_b": None if probabilities is None else probabilities[:, :, None].copy(),
        "propensities_estimated": log.propensities_estimated,
    }


def _array(feedback: Mapping[str, object], key: str) -> ArrayLike:
    value = feedback[key]
    if value is None:
        raise ValueError(f"feedback has no {key}")
    return checks.plain_array(cast("ArrayLike", value), key)
