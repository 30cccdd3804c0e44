"""An environment made of a classification data set."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bandits import checks
from bandits.data.full_information_data import FullInformationData
from bandits.simulation.environments.full_information import FullInformationEnvironment


class SupervisedEnvironment(FullInformationEnvironment):
    """Classes are the arms: naming a row's class earns 1, any other 0.

    Args:
        contexts: (n, d), finite; scale them as the policy expects (ridge policies: rows of about unit length).
        classes: (n,) labels, of at least two kinds; arms are named after them, in sorted order.

    Source: Dudik, Langford and Li 2011, section 4.1 (arXiv:1103.4601).
    """

    def __init__(self, contexts: ArrayLike, *, classes: ArrayLike) -> None:
        rows = checks.data_contexts(contexts)
        labels = checks.plain_array(classes, "classes")
        if labels.shape != (len(rows),):
            raise ValueError(f"classes must have shape ({len(rows)},), one a context, got {labels.shape}")
        levels, place = np.unique(labels, return_inverse=True)
        if len(levels) < 2:
            raise ValueError(f"classes must be of at least two kinds, got {levels.tolist()}")
        rewards = np.eye(len(levels))[place]
        super().__init__(FullInformationData(rows, rewards, tuple(str(level) for level in levels)))
