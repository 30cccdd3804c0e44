"""The loop: for each query a policy picks an arm, the arm answers, a reward is given, and the log keeps all of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from arms import Arm, ArmSet, Observation, Query
from arms.pulling import pull_once
from arms.query import check_is_query
from bandits import checks
from bandits.data.decision import Decision
from bandits.encoders.encoder import ContextEncoder, check_same_encoder
from bandits.online.decision_log import DecisionLog
from bandits.online.records import PolicyVersion
from bandits.online.rollout import Rollout
from bandits.policies.policy import Policy
from bandits.seeds import SeedTree
from rewards import Reward


@dataclass(frozen=True, slots=True)
class _Serving:
    policy: Policy
    version: PolicyVersion


class Agent:
    """Chooses an arm for each query, pulls it, values what came of it, and logs all of it before and after.

        agent = Agent(policy, encoder, log, arms=arms, reward=reward)
        observation = agent.answer(query)

    Whoever answers queries himself needs two calls instead, and neither arms nor a reward:

        decision = agent.choose(query)
        agent.reward(query.id, value)

    Several threads may call these at once. Choices are drawn from `seed` and the number of the decision in the log,
    pulls from the same: a process that is killed and started again makes the choices that it would have made.

    Args:
        policy: its choices are drawn; one that knows no arms yet starts with those of `arms`.
        encoder: gives the contexts.
        log: decisions and rewards are written there; a log that already holds some is gone on with.
        arms: what `answer` and `resume` pull; their names are the policy's.
        reward: values what was pulled; its bounds hold for `reward(query_id, value)` too.
        seed: of all draws, >= 0.

    Raises:
        ValueError: if the policy knows no arms, or one that is not among `arms`, or learned from another encoder.
    """

    def __init__(
        self,
        policy: Policy,
        encoder: ContextEncoder,
        log: DecisionLog,
        *,
        arms: Iterable[Arm] = (),
        reward: Reward | None = None,
        seed: int = 0,
    ) -> None:
        self.encoder, self.log = encoder, log
        self.arms = arms if isinstance(arms, ArmSet) else ArmSet(arms)
        self.seeds = SeedTree(seed)
        self._reward = reward
        self._lock = threading.Lock()
        self._under_way: list[str] = []
        self.serve(policy, "0")

    @property
    def policy(self) -> Policy:
        """The policy that chooses at present."""
        return self._serving.policy

    @property
    def reward_bounds(self) -> tuple[float, float]:
        """Lowest and highest reward possible; infinite where the agent has none that says so."""
        return (-np.inf, np.inf) if self._reward is None else self._reward.bounds

    def serve(self, policy: Policy, version: str) -> None:
        """Let this policy choose from now on; decisions under way keep the one they began with.

        Args:
            policy: not to be changed any more while it serves; `Learner.policy` never is.
            version: is logged with every decision.

        Raises:
            ValueError: see `Agent`.
        """
        if policy.state is None:  # not left to the first choice, which several threads may make at once
            arm_names = policy.arm_names or self.arms.names
            if not arm_names:
                raise ValueError("the policy knows no arms yet: fit it, give it arm_names, or give the agent arms")
            policy.start(arm_names, self.encoder.n_features, self.encoder.name)
        unknown = [name for name in policy.arm_names if name not in self.arms]
        if len(self.arms) and unknown:
            raise ValueError(f"the policy may choose {unknown[0]!r}, which is not among the arms {self.arms.names}")
        check_same_encoder("the policy", policy.learned.encoder, "the agent", self.encoder.name)
        name = type(policy.policy if isinstance(policy, Rollout) else policy).__name__
        version_of = PolicyVersion(name, version, self.encoder.name)
        self._serving = _Serving(policy, version_of)

    def available(self, query: Query) -> tuple[str, ...] | None:
        """Return the names of the arms that may be chosen for a query; None for all. For subclasses to override."""
        return None

    def answer(self, query: Query) -> Observation:
        """Choose an arm for a query, pull it, and log what came of it; a pull that fails is an observation too.

        Raises:
            TypeError: if it is no `Query`.
            ValueError: if the query has a decision that waits for its reward, or the reward cannot value the pull.
            RuntimeError: if the agent has no arms or no reward.
        """
        check_is_query(query)
        reward = self._valued()
        with self._pulling(query.id):
            number, decision = self._decide(query, self.available(query))  # logged before it is served
            return self._pull(number, decision.arm, query, reward)

    def choose(self, query: Query, available: Sequence[str] | None = None) -> Decision:
        """Choose an arm for a query and log the choice; `reward` is to follow.

        Args:
            query: with an id of its own.
            available: names of the arms that may be chosen; None for those that `self.available` gives.

        Raises:
            TypeError: if it is no `Query`.
            ValueError: if the query has a decision that waits for its reward.
        """
        check_is_query(query)
        return self._decide(query, self.available(query) if available is None else tuple(available))[1]

    def observe(self, observation: Observation) -> float:
        """Value what an open decision's arm has shown, log both, and return the value.

        Raises:
            ValueError: if the query is unknown or was rewarded before, or the reward cannot value the observation.
            RuntimeError: if the agent has no reward.
        """
        if self._reward is None:
            raise RuntimeError("the agent needs a reward to value what it observes: Agent(..., reward=...)")
        value = self._reward(observation)
        self.log.rewarded(observation.query_id, value, observation)
        return value

    def reward(self, query_id: str, value: float) -> None:
        """Log the reward of a query's decision, at any time, also after a restart.

        Raises:
            ValueError: if the query is unknown or was rewarded before, or the value is not finite or out of bounds.
        """
        checks.within(value, *self.reward_bounds, f"the reward of query {query_id!r}")
        self.log.rewarded(query_id, value)

    def resume(self, queries: Iterable[Query]) -> list[Observation]:
        """Finish decisions that an earlier process made and did not live to reward: the same arm is pulled again.

        Args:
            queries: the open ones are among them; others are passed over.

        Raises:
            RuntimeError: if the agent has no arms or no reward.
        """
        reward, waiting = self._valued(), set(self.log.open_queries)
        observations = []
        for query in queries:
            if query.id not in waiting:
                continue
            waiting.discard(query.id)
            with self._pulling(query.id):
                if self.log.status(query.id) == "open":  # it may have been closed as overdue meanwhile
                    made = self.log.decision(query.id)
                    observations.append(self._pull(made.number, made.decision.arm, query, reward))
        return observations

    def give_up(self, query_id: str, error: str) -> Observation:
        """Close an open decision as a pull that failed, with what the reward says a failure is worth.

        Args:
            query_id: whose decision waits for its reward.
            error: why no answer will come.

        Raises:
            ValueError: if the query is unknown or was rewarded before.
            RuntimeError: if the agent has no reward.
        """
        if self._reward is None:
            raise RuntimeError("the agent needs a reward to value a failure: Agent(..., reward=...)")
        made = self.log.decision(query_id)
        observation = Observation.failed(made.decision.arm, query_id, error, max(0.0, time.time() - made.time))
        self.log.rewarded(query_id, self._reward(observation), observation)
        return observation

    def close_overdue(self, window_s: float, value: float) -> tuple[str, ...]:
        """Give decisions that have waited for their reward too long a default one, and return their queries.

        Decisions whose arm is being pulled at the moment are left out: theirs will come. For those that were closed,
        `reward` raises from then on; what comes late can be kept with `DecisionLog.late`, and is not learned from.

        Args:
            window_s: how long a reward is waited for, >= 0.
            value: the default reward.

        Raises:
            ValueError: if the value is not finite or out of the reward's bounds.
        """
        checks.within(value, *self.reward_bounds, "the default reward")
        closed = []
        for query_id in self.log.open_for(checks.not_negative(window_s, "window_s")):
            with self._lock:
                if query_id in self._under_way:
                    continue
                try:
                    self.log.rewarded(query_id, value)
                except ValueError:  # its reward came just now: the first counts
                    continue
            closed.append(query_id)
        return tuple(closed)

    def _decide(self, query: Query, available: tuple[str, ...] | None) -> tuple[int, Decision]:
        number, serving = self.log.next_number(), self._serving
        context = self.encoder.encode_query(query)
        decision = serving.policy.choose(context, self._rng(number), available)
        self.log.decided(number, query, context, decision, serving.version, available)
        return number, decision

    @contextmanager
    def _pulling(self, query_id: str) -> Iterator[None]:
        """Keep `close_overdue` from a query whose arm is being pulled."""
        with self._lock:
            self._under_way.append(query_id)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.remove(query_id)

    def _pull(self, number: int, arm: str, query: Query, reward: Reward) -> Observation:
        observation = pull_once(self.arms[arm], query, self._pull_seed(number))
        self.log.rewarded(query.id, reward(observation), observation)
        return observation

    def _valued(self) -> Reward:
        if self._reward is None or not len(self.arms):
            raise RuntimeError("the agent needs arms to pull and a reward to value them: Agent(..., arms=, reward=)")
        return self._reward

    def _rng(self, number: int) -> np.random.Generator:
        return self.seeds.rng("choice", str(number))

    def _pull_seed(self, number: int) -> int:
        return self.seeds.integer("pull", str(number))
