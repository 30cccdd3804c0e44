"""An interval of an estimate whose model was fitted anew on redrawn queries."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bandits.off_policy.intervals import Interval, IntervalMethod
from bandits.off_policy.standard_error import UndefinedIntervalError
from bandits.off_policy.terms import Terms


@dataclass(frozen=True)
class RefittedBootstrap(IntervalMethod):
    """Student's interval with the spread of refits: it holds the noise of the model, not its bias.

        value +- t * standard deviation of the refits,  t with min(queries, refits) - 1 degrees of freedom

    For `DirectMethod(n_refits=100)`. Right where the model is. Where it is wrong the interval misses the truth often,
    and on large logs nearly always (examples/benchmarks/bench_intervals.py); there is none where the log shows it,
    which a thin log may not.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 12.
    """

    kind = "refitted bootstrap"

    def interval(self, terms: Terms, confidence: float = 0.95) -> Interval:
        """Return the interval, or a record of why it is not defined."""
        return super().interval(terms if terms.refits is None else replace(terms, biased=None), confidence)

    def bounds(self, terms: Terms, confidence: float) -> tuple[float, float]:
        """Return value minus and plus t standard deviations."""
        from scipy.special import stdtrit  # slow to import

        if terms.refits is None or len(terms.refits) < 2:
            raise UndefinedIntervalError("nothing was refitted: DirectMethod(n_refits=100) does")
        t = float(stdtrit(min(terms.n_queries, len(terms.refits)) - 1, (1 + confidence) / 2))
        error = float(np.std(terms.refits, ddof=1))
        return terms.value - t * error, terms.value + t * error
