"""The front door's one sentence: a request becomes a decision, is logged, answered by its arm, and rewarded."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

from arms import Observation, Query
from bandits import Agent, Policy
from bandits.online import Rollout
from speculative.serving.answer_watch import AnswerWatch
from speculative.serving.caller_rewards import CallerRewards
from speculative.serving.circuit_breaker import CircuitBreaker
from speculative.serving.client import Client
from speculative.serving.completion_request import CompletionRequest
from speculative.serving.guard import Guard
from speculative.serving.metrics import Metrics
from speculative.serving.problem import ArmFailure, ArmRefusal, Problem
from speculative.serving.request_columns import RequestColumns
from speculative.serving.seen import Seen
from speculative.serving.served_arm import ServedArm, answered_by
from speculative.serving.settings import STAGES, ServiceSettings, Stage

if TYPE_CHECKING:
    from speculative.collection.answer_tokens import AnswerTokens  # it needs torch, upstreams do not
    from speculative.serving.look_back import LookBack

LOGGER = logging.getLogger(__name__)


class _Asked(NamedTuple):
    """The arm of a decision, as it was when it was chosen: it may leave before it has answered."""

    arm: ServedArm
    breaker: CircuitBreaker
    propensity: float


class Service:
    """Answers requests with the arm that a policy chooses, and logs each decision before it is served.

    Decisions and rewards are written by one thread, in order, off the event loop; rewards off the path of the answer.

    Args:
        arms: to choose from; the names are the policy's.
        agent: chooses, logs and values.
        settings: who decides, and where rewards come from.
        metrics: counted in.
        seen: what the live page shows beside the log.
        columns: of the requests, for an encoder that puts them beside the text.

    Attributes:
        stage: who decides at present.
        breakers: of the arms, by name; while one is open, its arm is masked.
        look_back: told of the answers that an engine of one's own wrote; None for nobody.
        guard: masks arms that have lost too much time; None where the settings set no limit.
        chosen: the policy that decides as far as the stage lets it, and its version.
        n_running: requests being answered.
        seen: see above.

    Raises:
        ValueError: if the policy knows other arms than `arms`, or the incumbent is none of them.
    """

    def __init__(
        self,
        arms: Iterable[ServedArm],
        agent: Agent,
        settings: ServiceSettings,
        metrics: Metrics | None = None,
        seen: Seen | None = None,
        columns: RequestColumns | None = None,
    ) -> None:
        self.arms = {arm.name: arm for arm in arms}
        self.agent, self.settings, self.metrics = agent, settings, metrics or Metrics()
        self.breakers = {name: CircuitBreaker(settings.most_failures, settings.open_s) for name in self.arms}
        self.stage: Stage = settings.stage
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="draftpick-log")
        self._rewards = CallerRewards(agent, settings, self.metrics)
        self.n_running = 0
        self.look_back: LookBack | None = None
        self.seen = seen or Seen(settings.show_texts)
        self._columns = columns or RequestColumns(self.arms)
        self._columns.waiting = self.n_waiting
        budget = settings.time_budget()
        self.guard = None if budget is None else Guard(budget, settings.incumbent, agent.log, self.metrics)
        self.chosen = agent.policy, "0"
        self.adopt(*self.chosen)
        self._take_up()

    def adopt(self, policy: Policy, version: str) -> None:
        """Let a policy decide from now on, as far as the stage lets it; requests under way keep theirs.

        Raises:
            ValueError: see `Service`.
        """
        if set(policy.arm_names) != set(self.arms):
            raise ValueError(
                f"the policy chooses among {', '.join(policy.arm_names)}, the pool has {', '.join(self.arms)}: "
                "they must be the same"
            )
        inner = policy.policy if isinstance(policy, Rollout) else policy
        self.agent.serve(self.rollout(inner, self.stage), f"{version} {self.stage}")
        self.chosen = inner, version

    def rollout(self, policy: Policy, stage: Stage) -> Rollout:
        """Return what a stage makes of a policy."""
        settings = self.settings
        return Rollout(
            policy,
            settings.incumbent,
            share=settings.share_of(stage),
            exploration=settings.exploration,
            propensity_floor=settings.propensity_floor,
        )

    def take_arms(self, arms: Iterable[ServedArm], policy: Policy, version: str) -> None:
        """Have these arms, and a policy that knows them, from the next choice on; answers under way keep theirs.

        To be called by the thread that writes the log (see `after_writing`), so that no choice comes between.

        Raises:
            ValueError: see `Service`; nothing is changed then.
        """
        before, self.arms = self.arms, {arm.name: arm for arm in arms}
        try:
            self.adopt(policy, version)
        except ValueError:
            self.arms = before
            raise
        settings, known = self.settings, self.breakers
        self.breakers = {
            name: known.get(name) or CircuitBreaker(settings.most_failures, settings.open_s) for name in self.arms
        }
        self._columns.keep(self.arms)
        for name in known.keys() - self.arms.keys():
            self.metrics.forget("arm_up", arm=name)
            self.metrics.forget("waiting_requests", arm=name)

    def n_waiting(self, arm: str) -> int:
        """Return how many requests wait in an arm's queue, as far as it tells; 0 for one that has left."""
        served = self.arms.get(arm)
        return 0 if served is None else served.n_waiting

    def enter(self, stage: Stage) -> None:
        """Let the policy decide as much as this stage lets it, from the next request on."""
        self.stage = stage
        self.adopt(*self.chosen)
        for one in STAGES:
            self.metrics.set("stage", float(one == stage), stage=one)

    async def answer(self, request: CompletionRequest, client: Client) -> None:
        """Answer one request; if this is cancelled, the client has left.

        Args:
            request: checked.
            client: is told of every outcome.
        """
        self._running(1)
        try:
            status = await self._answer(request, client)
        except Problem as problem:
            status = problem.status
            await client.refuse(problem.status, problem.payload(), problem.headers())
        except asyncio.CancelledError:
            self.metrics.add("requests_total", status="client left")
            raise
        finally:
            self._running(-1)
        self.metrics.add("requests_total", status=str(status))

    async def reward(self, decision_id: str, value: float) -> bool:
        """Take a caller's reward; see `CallerRewards.take`."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._rewards.take, decision_id, value)

    def after_writing(self, done: Callable[[], object]) -> Future[object]:
        """Have the thread that writes the log call `done` once all that was to be written so far is written."""
        return self._writer.submit(done)

    def close_overdue(self) -> int:
        """Give the default reward to decisions whose caller has let the window pass; return how many there were."""
        overdue = self._rewards.overdue()
        for decision_id in overdue:
            self._write(self._rewards.give_default, decision_id)
        return len(overdue)

    async def close(self) -> None:
        """Write what is still to be written."""
        await asyncio.get_running_loop().run_in_executor(None, self.end_writing)

    def end_writing(self) -> None:
        """Write what is still to be written, and nothing after it."""
        self._writer.shutdown()

    async def _answer(self, request: CompletionRequest, client: Client) -> int:
        first_id = f"{self.settings.id_prefix}-{secrets.token_hex(8)}"
        failures: dict[str, str] = {}
        for attempt in range(self.settings.attempts):
            decision_id = first_id if attempt == 0 else f"{first_id}-{attempt + 1}"
            asked = await self._decide(decision_id, request, failures)
            if asked is None:
                break
            self._columns.began(asked.arm.name)
            try:
                answered = await self._pull(asked, decision_id, request, client)
            finally:
                self._columns.ended(asked.arm.name)
            if isinstance(answered, int):
                return answered
            failures[asked.arm.name] = str(answered)
        if not failures:
            raise Problem(503, "no arm can be asked at present: all have failed lately", retry_after_s=10)
        told = "; ".join(f"{arm}: {failure}" for arm, failure in failures.items())
        raise Problem(502, f"no arm gave an answer ({told})")

    async def _decide(self, decision_id: str, request: CompletionRequest, failed: Collection[str]) -> _Asked | None:
        query = self._columns.query(decision_id, request)
        loop = asyncio.get_running_loop()
        try:
            asked = await loop.run_in_executor(self._writer, self._choose, query, failed)
        except asyncio.CancelledError:
            self._write(self._drop, decision_id, "the client left")
            raise
        except (OSError, RuntimeError) as error:
            LOGGER.error("the decision log cannot be written: %s", error)
            raise Problem(
                503, "the decision log cannot be written, and nothing is served that is not logged"
            ) from error
        if asked is not None:
            self.metrics.add("decisions_total", arm=asked.arm.name, stage=self.stage)
            self.metrics.add("inverse_propensity_sum", 1 / asked.propensity, arm=asked.arm.name)
        return asked

    def _choose(self, query: Query, failed: Collection[str]) -> _Asked | None:
        """Return the arm that is chosen among those that may be asked, None where there are none."""
        there = [name for name, one in self.breakers.items() if not one.is_open and name not in failed]
        if not there:
            return None
        if self.guard is not None:
            there = self.guard.among(there)
        decision = self.agent.choose(query, there if len(there) < len(self.arms) else None)
        if self.guard is not None:
            self.guard.began(query.id, decision.arm)
        return _Asked(self.arms[decision.arm], self.breakers[decision.arm], decision.propensity)

    async def _pull(
        self, asked: _Asked, decision_id: str, request: CompletionRequest, client: Client
    ) -> int | ArmFailure:
        """Return the status that was sent, or why none was."""
        watch, arm = AnswerWatch(request), asked.arm.name
        is_sent = False
        try:
            async with aclosing(answered_by(asked.arm, request)) as payloads:
                async for payload in payloads:
                    passed = watch.take(payload)
                    if passed is None:
                        continue
                    try:
                        if not is_sent:
                            is_sent = True
                            await client.start({"x-draftpick-id": decision_id, "x-draftpick-arm": arm})
                        await client.send(passed)
                    finally:
                        watch.client_has_read()
            if not is_sent:
                raise ArmFailure("answered nothing")
        except ArmRefusal as refusal:
            self._write(self._drop, decision_id, f"refused with status {refusal.status}")
            await client.refuse(refusal.status, refusal.payload, {"x-draftpick-id": decision_id})
            return refusal.status
        except ArmFailure as failure:
            asked.breaker.failed()
            self.metrics.add("failures_total", arm=arm)
            self._write(self._observe, watch.observation(arm, decision_id, failure.kind))
            if not is_sent:
                return failure
            await client.break_off(Problem(502, f"arm {arm} broke off: {failure}"))
            return 200
        except BaseException:  # the client has left, or cannot be told anything: what was seen counts
            watch.left()
            self._answered(watch, arm, decision_id)
            raise
        asked.breaker.succeeded()
        self._columns.answered(arm, request, watch.first_s)
        self._answered(watch, arm, decision_id)  # first: a caller may send its reward as soon as it sees the end
        await client.end()
        return 200

    def _answered(self, watch: AnswerWatch, arm: str, decision_id: str) -> None:
        self.metrics.take_answer(arm, watch)
        if self.settings.rewards == "caller":
            self._rewards.begin(decision_id)
        else:
            self._write(self._observe, watch.observation(arm, decision_id), watch.answer)

    def _write(self, job: Callable[..., None], *arguments: object) -> None:
        """Have the writer do a job after all before it; one that fails is told, and ends nothing."""

        def done() -> None:
            try:
                job(*arguments)
            except (OSError, RuntimeError, ValueError) as error:
                self.metrics.add("rewards_total", kind="lost")
                LOGGER.error("the log lacks the end of a decision: %s", error)

        self._writer.submit(done)

    def _observe(self, observation: Observation, answer: AnswerTokens | None = None) -> None:
        try:
            if self.look_back is not None and answer is not None:
                self.look_back.take(self.agent.log.decision(observation.query_id), observation, answer)
            self.agent.observe(observation)
        finally:
            if self.guard is not None:
                self.guard.seen(observation)
        self.metrics.add("rewards_total", kind="own")

    def _drop(self, decision_id: str, reason: str) -> None:
        if self.agent.log.status(decision_id) == "open":
            try:
                self.agent.log.dropped(decision_id, reason)
            finally:
                if self.guard is not None:
                    self.guard.dropped(decision_id)
            self.metrics.add("rewards_total", kind="dropped")

    def _take_up(self) -> None:
        """Go on with what an earlier process left open: nobody waits for its answers any more."""
        for decision_id in self.agent.log.open_queries:
            if not self._rewards.resume(decision_id):
                self.agent.log.dropped(decision_id, "the server ended before the answer")

    def _running(self, change: int) -> None:
        self.n_running += change
        self.metrics.set("running_requests", self.n_running)
