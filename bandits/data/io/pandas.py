"""To and from pandas frames. pandas is imported only here, when a frame is made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from arms.optional_import import optional_import
from bandits.data.full_information_data import FullInformationData
from bandits.data.io.long_table import from_long_table
from bandits.data.io.table_layout import TableLayout
from bandits.data.logged_data import LoggedData

if TYPE_CHECKING:
    import pandas as pd


def to_pandas(data: FullInformationData | LoggedData) -> pd.DataFrame:
    """Return a frame with one (query, arm) a row, which `from_pandas` and `from_long_table` read back.

    Columns: query_id, domain, arm, reward, cost, propensity, propensity_estimated (where they are), weight, time,
    available_<arm>, probability_<arm> (those that the data have), context_0, context_1, ... Full information gives a
    row for each observed arm; raw observations are left out. Arms' order and the encoder's name are in the frame's
    `attrs`.

    Raises:
        ImportError: if pandas is not installed.
        ValueError: if two rows of full information share a query id, so that the frame could not tell them
            apart.
    """
    pandas = optional_import("pandas", "dev")
    columns = _log_columns(data) if isinstance(data, LoggedData) else _full_columns(data)
    frame = pandas.DataFrame({name: values for name, values in columns.items() if values is not None})
    frame.attrs.update({"arm_names": list(data.arm_names), "encoder": data.encoder})
    return frame


def from_pandas(frame: pd.DataFrame, layout: TableLayout | None = None) -> FullInformationData | LoggedData:
    """Read a frame with one (query, arm) a row and numeric contexts; see `from_long_table`.

    For a frame with texts to encode, or without propensities, call `from_long_table`, which takes frames too.
    """
    layout = layout or TableLayout(arm_names=frame.attrs.get("arm_names"))
    return from_long_table(frame, layout=replace(layout, encoder=layout.encoder or frame.attrs.get("encoder")))


def _log_columns(log: LoggedData) -> dict[str, object]:
    names = np.array(log.arm_names, dtype=object)
    columns: dict[str, object] = {
        "query_id": log.query_ids,
        "domain": log.domains,
        "arm": names[log.actions],
        "reward": log.rewards,
        "cost": log.costs,
        "propensity": log.propensities,
        "propensity_estimated": np.ones(len(log), np.bool_) if log.propensities_estimated else None,
        "weight": log.weights,
        "time": log.times,
    }
    for prefix, values in (("available_", log.available), ("probability_", log.action_probabilities)):
        if values is not None:
            columns |= {prefix + name: values[:, arm] for arm, name in enumerate(log.arm_names)}
    return columns | _context_columns(log.contexts)


def _full_columns(data: FullInformationData) -> dict[str, object]:
    ids = [f"row-{row}" if key is None else key for row, key in enumerate(data.query_ids or (None,) * len(data))]
    if len(set(ids)) < len(ids):
        twice = next(key for index, key in enumerate(ids) if key in ids[:index])
        raise ValueError(f"query {twice!r} has two rows: a frame cannot tell them apart, give each its own id")
    row, arm = np.nonzero(data.observed_mask)
    domains = None if data.domains is None else np.array(data.domains, dtype=object)[row]
    columns: dict[str, object] = {
        "query_id": np.array(ids, dtype=object)[row],
        "domain": domains,
        "arm": np.array(data.arm_names, dtype=object)[arm],
        "reward": data.rewards[row, arm],
        "cost": None if data.costs is None else data.costs[row, arm],
        "time": None if data.times is None else data.times[row],
    }
    return columns | _context_columns(data.contexts[row])


def _context_columns(contexts: np.ndarray) -> dict[str, object]:
    return {f"context_{index}": contexts[:, index] for index in range(contexts.shape[1])}
