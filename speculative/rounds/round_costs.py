"""Seconds of a round with each arm, all at once: a cost profile made into tables."""

import numpy as np

from bandits.checks import Float64, Int64
from speculative.measuring.cost_profile import CostProfile
from speculative.rounds.record import RecordLayout, RoundRecord


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

    def seconds(self, cache_length: int, n_proposed: Int64, record: RoundRecord, idle_share: float = 1.0) -> Float64:
        """Return the seconds of a round with each arm, (k,).

        A look-up whose match is in the record was asked for it, which is paid whichever arm is chosen.

        Args:
            cache_length: tokens that the target's cache holds.
            n_proposed: (k,) draft tokens of each arm; -1 where its draft is not asked at all.
            record: of the round.
            idle_share: of what a draft that was not asked yet would have to read first that is counted.
        """
        passes = self.pass_s(cache_length)[np.maximum(n_proposed, 0)]
        if not len(self._constants):
            return passes
        was_asked = np.array([match is not None for match in record.match_lengths])
        reading = self._constants[:, 2] * np.asarray(record.n_idle)
        asked_s = float((self._constants[:, 0] + reading)[was_asked].sum())
        own = np.where(was_asked, 0.0, self._constants[:, 0] + idle_share * reading)
        drafting = own[self._index] + self._constants[self._index, 1] * n_proposed
        return np.asarray(passes + asked_s + np.where(self._drafts & (n_proposed >= 0), drafting, 0.0))
