"""How many requests each caller may send: a bucket of permissions that fills up again."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from bandits import checks

MOST_CALLERS = 10_000  # remembered; one that is forgotten begins with a full bucket


@dataclass(slots=True)
class _Bucket:
    level: float
    since: float


class RateLimit:
    """Lets each caller send `burst` requests at once, and `per_minute` in the long run (a token bucket).

    Args:
        per_minute: requests of one caller, > 0.
        burst: how many of them may come at once, >= 1.
        clock: seconds that never run backwards.
    """

    def __init__(self, per_minute: float, burst: int = 10, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = checks.positive(per_minute, "per_minute") / 60
        self._burst = checks.at_least(burst, 1, "burst")
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_s(self, caller: str) -> float:
        """Count a request of a caller; return 0 where it may be served, else after how long the next one may."""
        now = self._clock()
        bucket = self._buckets.setdefault(caller, _Bucket(self._burst, now))
        self._buckets.move_to_end(caller)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        bucket.level = min(self._burst, bucket.level + (now - bucket.since) * self._per_s)
        bucket.since = now
        if bucket.level < 1:
            return (1 - bucket.level) / self._per_s
        bucket.level -= 1
        return 0.0
