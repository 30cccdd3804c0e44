"""An interval that may be looked at after every decision."""

from __future__ import annotations

from dataclasses import dataclass

from bandits.off_policy.confidence_sequence import last_lower_bound
from bandits.off_policy.intervals import IntervalMethod, query_means
from bandits.off_policy.standard_error import UndefinedIntervalError
from bandits.off_policy.terms import Terms


@dataclass(frozen=True)
class Anytime(IntervalMethod):
    """The last interval of a confidence sequence: all those of a growing log hold at once, at this confidence.

    So one may estimate again after each decision and stop when the interval suits, and the policy that logs may learn
    meanwhile. Queries must stand in the order in which they were decided. For the estimates that `EmpiricalBernstein`
    takes: means of terms with certain bounds, which `reward_range` and `max_weight` give.

    Source: `LowerConfidenceSequence`, once for the terms and once for minus the terms, each with half of
        1 - confidence.
    """

    kind = "anytime"
    approximate = False

    def bounds(self, terms: Terms, confidence: float) -> tuple[float, float]:
        """Return the last bounds of the two sequences."""
        means, (low, high) = query_means(terms)
        if terms.reward_range is None:
            raise UndefinedIntervalError("reward_range was not stated")
        least, most = terms.reward_range
        level = (1 - confidence) / 2
        below = last_lower_bound(means, min(low, least), most, level)
        return below, -last_lower_bound(-means, min(-high, -most), -least, level)
