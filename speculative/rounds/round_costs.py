"""Seconds of a round with each arm, all at once: a cost profile made into tables."""

from collections.abc import Sequence

import numpy as np

from bandits.checks import Float64, Int64
from speculative.measuring.cost_profile import CostProfile
from speculative.rounds.record import RecordLayout


class RoundCosts:
    """What a round with each arm would take, by a cost profile.

    Args:
        layout: of the arms.
        costs: of their drafts.

    Raises:
        ValueError: if the profile lacks one of the drafts.
    """

    def __init__(self, layout: RecordLayout, costs: CostProfile) -> None:
        missing = [draft for draft in layout.drafts if draft not in costs.drafts]
        if missing:
            raise ValueError(
                f"the cost profile lacks draft {missing[0]!r} (it has {', '.join(sorted(costs.drafts))}): measure again"
            )
        of = [costs.drafts[draft] for draft in layout.drafts]
        self._index = np.array([0 if d is None else d for d in layout.draft_of])
        self._drafts = np.array([d is not None for d in layout.draft_of])
        self._constants = np.array([[cost.round_s, cost.token_s, cost.read_s] for cost in of]).reshape(-1, 3)
        self._cache_lengths = np.array(costs.cache_lengths, dtype=np.float64)
        widths = range(1, max(layout.lengths) + 2)
        self._passes = np.array([[costs.verify_s(width, length) for width in widths] for length in costs.cache_lengths])

    def pass_s(self, cache_length: int) -> Float64:
        """Return v(m, L) of m = 1, 2, ... tokens, as `CostProfile.verify_s` interpolates it."""
        lengths = self._cache_lengths
        upper = int(np.searchsorted(lengths, cache_length))
        if upper == 0:
            return np.asarray(self._passes[0], dtype=np.float64)
        if upper == len(lengths):
            return np.asarray(self._passes[-1], dtype=np.float64)
        share = (cache_length - lengths[upper - 1]) / (lengths[upper] - lengths[upper - 1])
        return np.asarray(self._passes[upper - 1] * (1 - share) + self._passes[upper] * share, dtype=np.float64)

    def seconds(self, cache_length: int, n_proposed: Int64, n_idle: Sequence[float]) -> Float64:
        """Return the seconds of a round with each arm, (k,).

        Args:
            cache_length: tokens that the target's cache holds.
            n_proposed: (k,) draft tokens of each arm; -1 where its draft is not asked at all.
            n_idle: per draft, tokens that it would have to read first.
        """
        passes = self.pass_s(cache_length)[np.maximum(n_proposed, 0)]
        if not len(self._constants):
            return passes
        per_draft = self._constants[:, 0] + self._constants[:, 2] * np.asarray(n_idle)
        drafting = per_draft[self._index] + self._constants[self._index, 1] * n_proposed
        return np.asarray(passes + np.where(self._drafts & (n_proposed >= 0), drafting, 0.0))
