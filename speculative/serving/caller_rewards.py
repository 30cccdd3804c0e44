"""The rewards that callers give, and the default one where a caller has let its time pass."""

from __future__ import annotations

import logging
import time

from bandits import Agent
from speculative.serving.metrics import Metrics
from speculative.serving.problem import Problem
from speculative.serving.settings import ServiceSettings

LOGGER = logging.getLogger(__name__)


class CallerRewards:
    """Awaits a reward for each answer that has ended, where rewards are the callers'; the first one counts.

    What writes is to be called by the thread that writes the log.

    Args:
        agent: whose decisions are rewarded.
        settings: say how long a reward is awaited, and what counts then.
        metrics: counted in.
    """

    def __init__(self, agent: Agent, settings: ServiceSettings, metrics: Metrics) -> None:
        self._agent, self._settings, self._metrics = agent, settings, metrics
        self._until: dict[str, float] = {}  # when a reward comes too late, by decision

    def begin(self, decision_id: str) -> None:
        """Await the reward of an answer that has ended just now."""
        self._until[decision_id] = time.monotonic() + self._settings.reward_window_s

    def resume(self, decision_id: str) -> bool:
        """Go on awaiting the reward of a decision of an earlier process; return whether it may still come."""
        if self._settings.rewards != "caller":
            return False
        passed_s = max(0.0, time.time() - self._agent.log.decision(decision_id).time)  # a clock may be set back
        left_s = self._settings.reward_window_s - passed_s
        if left_s <= 0:
            return False
        self._until[decision_id] = time.monotonic() + left_s
        return True

    def overdue(self) -> list[str]:
        """Return the decisions whose caller has let the window pass."""
        now = time.monotonic()
        return [decision_id for decision_id, until in list(self._until.items()) if until < now]

    def give_default(self, decision_id: str) -> None:
        """Write the default reward of a decision that is still awaited; where that fails it is awaited on."""
        until = self._until.pop(decision_id, None)
        if until is not None:
            try:
                self._agent.reward(decision_id, self._settings.default_reward)
            except OSError as error:
                LOGGER.error("a default reward cannot be written, and will be tried again: %s", error)
                self._until[decision_id] = until
                return
            self._metrics.add("rewards_total", kind="default")

    def take(self, decision_id: str, value: float) -> bool:
        """Write a caller's reward; return whether it counts, or came after another.

        Raises:
            Problem: 404 for an unknown id, 400 for a value out of bounds, 409 while the answer is being written, 503
                if the log cannot be written.
        """
        log, is_awaited = self._agent.log, decision_id in self._until
        status = log.status(decision_id)
        if status is None:
            raise Problem(404, f"no decision has the id {decision_id!r:.100}, or it is long closed", "id")
        if status == "open" and not is_awaited:
            raise Problem(409, "its answer is still being written: reward it once it has ended", "id")
        try:
            if is_awaited:
                self._agent.reward(decision_id, value)
                self._until.pop(decision_id, None)
            else:
                log.late(decision_id, value)
        except ValueError as error:
            raise Problem(400, str(error), "reward") from error
        except (OSError, RuntimeError) as error:
            raise Problem(503, "the decision log cannot be written") from error
        self._metrics.add("rewards_total", kind="caller" if is_awaited else "late")
        return is_awaited
