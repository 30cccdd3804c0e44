"""What the live page shows beside the log: trials as they went, and answers of one's own engine, round by round."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from speculative.serving.trial_curve import TrialCurve

if TYPE_CHECKING:
    from speculative.explaining.answer import ExplainedAnswer  # it needs torch, upstreams do not

_WATCHED_S = 60.0
_EACH_S = 2.0


class Seen:
    """Is kept up by those who serve, and read by the page.

    Rounds are reported only while somebody looks at the page, and then of one request every few seconds, so that
    nothing is slower while nobody looks.

    Args:
        show_texts: whether the page may show texts of requests and answers.
        clock: seconds that never run backwards.

    Attributes:
        curves: of the trial of the present stage, by the arm that the policy is compared with.
        answers: the last ones whose rounds were reported; each is taken apart when it is asked for.
    """

    def __init__(self, show_texts: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.show_texts = show_texts
        self.curves: dict[str, TrialCurve] = {}
        self.answers: deque[Callable[[], ExplainedAnswer]] = deque(maxlen=3)
        self._clock = clock
        self._watched_until = self._next_at = -1.0

    def watched(self) -> None:
        """Note that somebody looks at the page."""
        self._watched_until = self._clock() + _WATCHED_S

    def wants_rounds(self) -> bool:
        """Return whether the next request's rounds are to be reported."""
        now = self._clock()
        if not self._next_at <= now < self._watched_until:
            return False
        self._next_at = now + _EACH_S
        return True
