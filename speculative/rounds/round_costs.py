"""Seconds of a round with each arm, all at once: a cost profile made into tables."""

from bisect import bisect_left

import numpy as np

from bandits.checks import Float64, Int64
from speculative.measuring.cost_profile import CostProfile
from speculative.rounds.record import RecordLayout, RoundRecord


class RoundCosts:
    """What a round with each arm would take, by a cost profile.

    Args:
        layout: of the arms.
        costs: of their drafts.
        goes_on: per draft, probability that it proposes the token that it computes, and so goes on; None for drafts
            that never stop early, or where what they propose is known.

    Attributes:
        token_s: (k,) seconds of a draft token of each arm.

    Raises:
        ValueError: if the profile lacks one of the drafts.
    """

    def __init__(self, layout: RecordLayout, costs: CostProfile, goes_on: Float64 | None = None) -> None:
        missing = [draft for draft in layout.drafts if draft not in costs.drafts]
        if missing:
            raise ValueError(
                f"the cost profile lacks draft {missing[0]!r} (it has {', '.join(sorted(costs.drafts))}): measure again"
            )
        self._of = [costs.drafts[draft] for draft in layout.drafts]
        self._index = [len(self._of) if d is None else d for d in layout.draft_of]
        self.token_s = np.array([0.0 if d is None else self._of[d].token_s for d in layout.draft_of])
        self._cache_lengths = costs.cache_lengths
        self._steps = np.arange(1, max(layout.lengths) + 1)
        self._proposed = None  # (k, longest): P(proposed >= i), i = 1, 2, ...
        if goes_on is not None and (goes_on < 1).any():
            shares = np.array([1.0 if d is None else goes_on[d] for d in layout.draft_of])[:, None]
            self._proposed, self._computed = shares**self._steps, shares ** (self._steps - 1)
        widths = range(1, max(layout.lengths) + 2)
        self._passes = np.array([[costs.verify_s(width, length) for width in widths] for length in costs.cache_lengths])

    def pass_s(self, cache_length: int) -> Float64:
        """Return v(m, L) of m = 1, 2, ... tokens, as `CostProfile.verify_s` interpolates it."""
        lengths = self._cache_lengths
        upper = bisect_left(lengths, cache_length)
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
            n_proposed: (k,) draft tokens of each arm, at most; -1 where its draft is not asked at all.
            record: of the round.
            idle_share: of what a draft that was not asked yet would have to read first that is counted.
        """
        asked_s, own = 0.0, []
        for cost, match, n_idle in zip(self._of, record.match_lengths, record.n_idle, strict=True):
            if match is None:
                own.append(cost.round_s + idle_share * cost.read_s * n_idle)
            else:
                own.append(0.0)
                asked_s += cost.round_s + cost.read_s * n_idle
        pass_s, n_computed = self._passed(self.pass_s(cache_length), n_proposed)
        drafting = np.array([*own, 0.0])[self._index] + self.token_s * n_computed  # the last one is of no draft
        drafting[n_proposed < 0] = 0.0
        return np.asarray(pass_s + drafting + asked_s)

    def _passed(self, by_width: Float64, n_proposed: Int64) -> tuple[Float64, Int64 | Float64]:
        """Return each arm's seconds of the pass and tokens that its draft computes, expected where it may stop early.

        sum over i <= n of P(proposed >= i) (v(1 + i) - v(i)) beside v(1),  P(proposed >= i) = goes_on ** i
        """
        if self._proposed is None:
            return by_width[np.maximum(n_proposed, 0)], n_proposed
        asked = self._steps <= n_proposed[:, None]
        pass_s = by_width[0] + (asked * self._proposed) @ np.diff(by_width)
        return pass_s, (asked * self._computed).sum(axis=1)
