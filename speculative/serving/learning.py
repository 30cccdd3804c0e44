"""The thread that learns from the log while requests come in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import numpy as np

from bandits import Learner, Policy
from bandits.online import PooledLearner
from bandits.online.learner import with_arms
from bandits.policies import Discounted, ResetOnDrift, SlidingWindow, resets_since
from speculative.serving.served_arm import ServedArm
from speculative.serving.service import Service
from speculative.serving.stage_keeper import StageKeeper

LOGGER = logging.getLogger(__name__)
_MOST_BATCHES = 20  # at once


def forgetting(policy: Policy, discount: float | None, window: int | None, drift_threshold: float | None) -> Policy:
    """Return a policy that learns as this one does, and forgets as asked for; None leaves each out.

    Args:
        policy: to learn.
        discount: see `Discounted`.
        window: decisions remembered; see `SlidingWindow`.
        drift_threshold: see `ResetOnDrift`.

    Raises:
        ValueError: if there are both a discount and a window, or one is out of its range.
        TypeError: if the policy cannot forget so.
    """
    if discount is not None and window is not None:
        raise ValueError("a discount and a window are two ways to forget: give one of them")
    if discount is not None:
        policy = Discounted(policy, discount=discount)
    if window is not None:
        policy = SlidingWindow(policy, n_rows=window)
    return policy if drift_threshold is None else ResetOnDrift(policy, threshold=drift_threshold)


class LearningThread:
    """Reads the log every so often, and lets what was learned decide from then on.

    Only a full batch is followed by the next one at once, up to twenty of them: what comes in during a step waits for
    the pause to pass, and a log that grows faster than it is learned keeps no other job from its turn.
    A job that fails is told and tried again, and keeps no other from being done: a policy that cannot learn serves as
    it was, and still goes back to shadow where it is worse.

    Args:
        service: gets the policies, and closes decisions whose reward is overdue.
        learner: reads the log; its policy serves from the start.
        keeper: changes the stage by what the log shows.
    """

    def __init__(self, service: Service, learner: Learner | PooledLearner, keeper: StageKeeper) -> None:
        self._service, self._learner, self._keeper = service, learner, keeper
        self._noted = learner.policy  # up to which resets are noted
        self._changing = threading.Lock()  # held while the policy or the arms change
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="draftpick-learner", daemon=True)

    def catch_up(self) -> None:
        """Learn all that the log holds and the learner has not read yet, before the thread begins."""
        while self._learner.step(whole_batches=False):
            pass

    def start(self) -> None:
        """Serve what was learned before, and begin."""
        self._adopt()
        self._thread.start()

    def change_arms(self, arms: Sequence[ServedArm], new_arm_rows: float, cause: str) -> None:
        """Let these arms serve from the next decision on: learner, log and service change at one moment.

        It waits until the step of learning under way is over.

        Args:
            arms: all there are from now on.
            new_arm_rows: see `Learner.keep_arms`.
            cause: of the change, for the log.

        Raises:
            ValueError: if the policy cannot start an arm so, or a setting allows for no such number of arms.
            OSError: if the log cannot be written. In either case nothing is changed.
        """
        names = [arm.name for arm in arms]
        with self._changing:
            policy = with_arms(self._learner.policy, names, new_arm_rows)
            self._service.rollout(policy, self._service.stage)

            def change() -> None:
                self._keeper.note_arms(names, cause)
                try:
                    self._learner.keep_arms(names, new_arm_rows=new_arm_rows)
                except OSError as error:
                    LOGGER.error("the policy of the changed arms is saved later: %s", error)
                self._service.take_arms(arms, self._learner.policy, self._learner.version)

            self._service.after_writing(change).result()

    def stop(self) -> None:
        """End after the step under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._service.settings.learn_every_s):
            self._step()

    def _step(self) -> None:
        has_failed = False
        for job in (self._learn, self._service.close_overdue, self._look_back, self._keeper.step):
            try:
                with self._changing:
                    job()
            except Exception as error:  # a policy of the user's own may raise anything; serving goes on
                has_failed = True
                LOGGER.error("learning failed, and is tried again: %s: %s", type(error).__name__, error)
        self._service.metrics.set("learning_failed", float(has_failed))

    def _learn(self) -> None:
        for _ in range(_MOST_BATCHES):
            n_new = self._learner.step(whole_batches=False)
            if n_new:
                self._adopt()
            if n_new < self._learner.batch or self._stop.is_set():  # more than a batch where others have learned too
                break

    def _look_back(self) -> None:
        look_back, metrics = self._service.look_back, self._service.metrics
        if look_back is not None:
            metrics.add("hindsights_total", look_back.step(self._service.agent.log, self._stop))
            metrics.set("hindsights_passed_over", look_back.n_passed_over)

    def _adopt(self) -> None:
        """Serve what was learned; then write down which arms were forgotten since that was last done, and why.

        What choices need is worked out by a first one here, so that no request waits for it.
        """
        policy = self._learner.policy
        if policy.state is not None:
            policy.probabilities(np.zeros((1, policy.state.n_features), np.float32))
        self._service.adopt(policy, self._learner.version)
        self._service.metrics.set("learned_decisions", self._learner.n_learned)
        for reset in resets_since(self._noted, policy):
            facts = {"arm": reset.arm, "number": reset.number, "reason": reset.reason}
            self._service.agent.log.noted("reset", facts)
            self._service.metrics.add("resets_total", arm=reset.arm)
            LOGGER.warning("%s is learned anew: %s", reset.arm, reset.reason)
        self._noted = policy
