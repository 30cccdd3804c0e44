"""Where a round's seconds go."""

import time
from collections.abc import Sequence

from speculative.engine.active_request import Running
from speculative.protocols.request import RoundResult
from speculative.protocols.selector import RoundObservation


class RoundClock:
    """Measures the parts of one round; each method ends one. Shared parts are divided evenly among the requests."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._select_s = self._verify_s = 0.0
        self._draft_s: list[float] = []

    def selected(self) -> None:
        """End the choosing of arms."""
        self._select_s = self._lap()

    def drafted(self) -> None:
        """End one request's drafting; they follow one another."""
        now = time.perf_counter()
        self._draft_s.append(now - self._last)
        self._last = now

    def verified(self) -> None:
        """End the target's pass and the verification."""
        self._verify_s = self._lap()

    def account(self, states: Sequence[Running], results: Sequence[RoundResult | None]) -> list[RoundObservation]:
        """File the seconds, those since the verification as the engine's own, and say what each request's round gave.

        Args:
            states: the round's requests.
            results: what each was given; None where nothing was, because its decoder raised.
        """
        host_s, share = self._lap(), 1 / len(states)
        shared_s = (self._select_s + self._verify_s + host_s) * share
        observations = []
        for state, own_s, result in zip(states, self._draft_s, results, strict=True):
            stats = state.stats
            stats.select_s += self._select_s * share
            stats.draft_s += own_s
            stats.verify_s += self._verify_s * share
            stats.host_s += host_s * share
            if result is None or result.action is None:
                continue
            n_new, seconds = len(result.token_ids), own_s + shared_s
            observations.append(
                RoundObservation(result.request_id, result.action, result.n_proposed, result.n_accepted, n_new, seconds)
            )
        return observations

    def _lap(self) -> float:
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        return seconds
