"""Rows of one data set that stand in another too, by what they hold and not by their ids."""

from __future__ import annotations

import numpy as np

from bandits.checks import Bool
from bandits.data.full_information_data import FullInformationData


def shared_rows(data: FullInformationData, other: FullInformationData) -> Bool:
    """Return which rows of `data` are in `other` too, (n,) bool.

    Two rows are the same query if their contexts are equal and so are the texts that were observed; without
    observations, the rewards. Ids say nothing: every prompt file may begin at line-1.

    Args:
        data: n rows.
        other: data of the same arms and the same encoder; of other ones no row is shared.
    """
    if data.arm_names != other.arm_names or data.n_features != other.n_features or data.encoder != other.encoder:
        return np.zeros(len(data), np.bool_)
    texts = data.observations is not None and other.observations is not None
    known = set(_contents(other, texts))
    return np.array([content in known for content in _contents(data, texts)])


def _contents(data: FullInformationData, texts: bool) -> list[tuple[object, ...]]:
    contexts = [row.tobytes() for row in data.contexts]
    if texts and data.observations is not None:
        seen = [tuple(o and (o.text, o.reference and o.reference.text) for o in row) for row in data.observations]
        return list(zip(contexts, seen, strict=True))
    return list(zip(contexts, (row.tobytes() for row in data.rewards), strict=True))
