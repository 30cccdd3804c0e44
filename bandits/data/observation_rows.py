"""Rows of raw observations, one an arm: whose they are, and what they are worth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import cast

import numpy as np

from arms import Observation, Query
from bandits.checks import Bool, Float64
from bandits.data.columns import ObservationRow
from rewards import Reward


def names_of(rows: Sequence[ObservationRow]) -> list[str]:
    """Return the arm of each column, from the first observation in it."""
    names = [next((o.arm for o in column if o is not None), None) for column in zip_longest(*rows)]
    if not names or None in names:
        at = f" {names.index(None)}" if names else "s"
        raise ValueError(f"column{at} of the observations must hold at least one, or arm_names be given")
    return cast("list[str]", names)


def check_rows_are_of(queries: Sequence[Query], rows: Sequence[ObservationRow], n_arms: int) -> None:
    """Reject rows that are not as many as the queries, of another length, or of another query."""
    if len(queries) != len(rows):
        raise ValueError(f"observations must be a row a query, got {len(rows)} rows for {len(queries)} queries")
    for query, row in zip(queries, rows, strict=True):
        if len(row) != n_arms:
            raise ValueError(
                f"query {query.id!r} must have {n_arms} observations (None where not pulled), got {len(row)}"
            )
        for observation in row:
            if observation is not None and observation.query_id != query.id:
                raise ValueError(f"the row of query {query.id!r} holds the {observation}: sort observations by query")


def rewards_of(rows: Sequence[ObservationRow], reward: Reward) -> Float64:
    """Return (n, k) float64, NaN where nothing was observed."""
    values = np.full((len(rows), len(rows[0]) if rows else 0), np.nan)
    reward.prepare([observation for row in rows for observation in row if observation is not None])
    for row, observations in enumerate(rows):
        for arm, observation in enumerate(observations):
            if observation is None:
                continue
            try:
                values[row, arm] = reward(observation)
            except ValueError as error:
                if str(observation) in str(error):  # it names query and arm, as those that come with draftpick do
                    raise
                raise ValueError(f"{observation}: {error}") from error
    return values


def checked_observations(
    rows: Sequence[Sequence[Observation | None]],
    observed: Bool | None,
    n_rows: int,
    arm_names: tuple[str, ...],
) -> tuple[ObservationRow, ...]:
    """Return rows of observations as tuples; reject one that is missing, too many, or in another arm's column."""
    result = tuple(tuple(row) for row in rows)
    if len(result) != n_rows or any(len(row) != len(arm_names) for row in result):
        raise ValueError(f"observations must be {n_rows} rows of {len(arm_names)} (one an arm)")
    for index, row in enumerate(result):
        for arm, observation in enumerate(row):
            expected = observed is None or bool(observed[index, arm])
            if expected != (observation is not None):
                state = "is missing" if expected else "is there although observed says it is not"
                raise ValueError(f"observations: row {index}, arm {arm_names[arm]!r} {state}")
            if observation is not None and observation.arm != arm_names[arm]:
                raise ValueError(
                    f"observations must stand in their arm's column: row {index} has one of "
                    f"{observation.arm!r} under {arm_names[arm]!r}"
                )
    return result
