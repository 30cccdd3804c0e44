"""Where a round's seconds go."""

import time
from collections.abc import Sequence

from speculative.engine.active_request import Running
from speculative.protocols.request import RoundResult
from speculative.protocols.selector import RoundObservation


class RoundClock:
    """Measures the parts of one round; each method ends one. Shared parts are divided evenly among the requests.

    Args:
        n_requests: that take part.
    """

    def __init__(self, n_requests: int) -> None:
        self._last = time.perf_counter()
        self._select_s = self._verify_s = self._shared_s = 0.0
        self._draft_s = [0.0] * n_requests

    def selected(self) -> None:
        """End the choosing of arms."""
        now = time.perf_counter()
        self._select_s, self._last = now - self._last, now

    def drafted(self, requests: Sequence[int]) -> None:
        """End what was done for the drafting of some requests, by their numbers; it follows that of others."""
        now = time.perf_counter()
        share, self._last = (now - self._last) / len(requests), now
        for i in requests:
            self._draft_s[i] += share

    def verified(self) -> None:
        """End the target's pass and the verification."""
        now = time.perf_counter()
        self._verify_s, self._last = now - self._last, now

    def of_prompts(self, n_of_prompts: int, n_own: int) -> float:
        """Take the reading of prompts out of the verification's seconds, and return it.

        Args:
            n_of_prompts: of the pass's tokens, those of prompts: their share of the seconds is no round's.
            n_own: those of the round.
        """
        prompts_s = self._verify_s * n_of_prompts / (n_of_prompts + n_own)
        self._verify_s -= prompts_s
        return prompts_s

    def account(self, states: Sequence[Running]) -> None:
        """File the seconds of each request, those since the verification as the engine's own."""
        now, n = time.perf_counter(), len(states)
        select_s, verify_s, host_s, self._last = self._select_s / n, self._verify_s / n, (now - self._last) / n, now
        self._shared_s = select_s + verify_s + host_s
        for i, state in enumerate(states):
            stats = state.stats
            stats.select_s += select_s
            stats.draft_s += self._draft_s[i]
            stats.verify_s += verify_s
            stats.host_s += host_s

    def observations(self, results: Sequence[RoundResult | None]) -> list[RoundObservation]:
        """Return what each request's round gave, once the seconds are filed.

        Args:
            results: in the order of the requests; None where nothing was given, because its decoder raised.
        """
        select_s = self._select_s / len(results)
        return [
            RoundObservation(
                r.request_id, r.action, r.n_proposed, r.n_accepted, len(r.token_ids), own_s + self._shared_s, select_s
            )
            for r, own_s in zip(results, self._draft_s, strict=True)
            if r is not None and r.action is not None
        ]

    def observed(self, states: Sequence[Running]) -> None:
        """File the seconds since as the selector's learning, which is choosing too."""
        now = time.perf_counter()
        share_s, self._last = (now - self._last) / len(states), now
        for state in states:
            state.stats.select_s += share_s
