"""The thread that learns from the log while requests come in."""

from __future__ import annotations

import logging
import threading

from bandits import Learner
from speculative.serving.service import Service
from speculative.serving.stage_keeper import StageKeeper

LOGGER = logging.getLogger(__name__)


class LearningThread:
    """Reads the log every so often, and lets what was learned decide from then on.

    Only a full batch is followed by the next one at once: what comes in during a step waits for the pause to pass.
    A step that fails is told and tried again; the policy that serves stays as it was.

    Args:
        service: gets the policies, and closes decisions whose reward is overdue.
        learner: reads the log; its policy serves from the start.
        keeper: changes the stage by what the log shows.
    """

    def __init__(self, service: Service, learner: Learner, keeper: StageKeeper) -> None:
        self._service, self._learner, self._keeper = service, learner, keeper
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="draftpick-learner", daemon=True)

    def start(self) -> None:
        """Serve what was learned before, and begin."""
        self._service.adopt(self._learner.policy, self._learner.version)
        self._thread.start()

    def stop(self) -> None:
        """End after the step under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._service.settings.learn_every_s):
            self._step()

    def _step(self) -> None:
        metrics = self._service.metrics
        try:
            n_new = self._learner.batch
            while n_new == self._learner.batch and not self._stop.is_set():
                n_new = self._learner.step(whole_batches=False)
                if n_new:
                    self._service.adopt(self._learner.policy, self._learner.version)
                    metrics.set("learned_decisions", self._learner.n_learned)
            self._service.close_overdue()
            self._keeper.step()
            metrics.set("learning_failed", 0)
        except Exception as error:  # a policy of the user's own may raise anything; serving goes on
            metrics.set("learning_failed", 1)
            LOGGER.error("learning failed, the policy stays as it was: %s: %s", type(error).__name__, error)
