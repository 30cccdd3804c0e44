"""Our policies and other libraries' behind one interface, each called as its own documentation says.

All are ridge regressions of prior precision 1 without an intercept, and LinUCB adds one standard deviation, unless
a name says otherwise. Libraries are imported when a learner is made, so that a missing one stops nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bandits import LoggedData, Policy
from bandits.checks import Float64, Int64
from bandits.data.decision import draw_actions
from bandits.policies.linear.linear_policy import LinearPolicy

Contexts = Any  # (n, d) in the learner's own float type
ONE_SIGMA = 0.8413447460685429  # the standard normal's probability below 1: a quantile that is mean + deviation


class Learner(ABC):
    """A bandit that learns from arrays and from single decisions.

    Args:
        n_features, n_arms: d and k.
        seed: of whatever is random in it.
    """

    dtype: type = np.float64  # of the contexts it computes with; others would be converted while timed

    def __init__(self, n_features: int, n_arms: int, seed: int) -> None:
        self.n_features, self.n_arms, self.seed = n_features, n_arms, seed

    def learn_many(self, contexts: Contexts, actions: Int64, rewards: Float64) -> None:
        """Add rows to what is known, up to where a decision can be made; one after another where it must be so."""
        for row, action, reward in zip(self.single(contexts), actions.tolist(), rewards.tolist(), strict=True):
            self.update(row, action, reward)

    def choose_many(self, contexts: Contexts) -> Int64:
        """Return the arms chosen on many contexts."""
        return np.array([self.choose(row) for row in self.single(contexts)])

    def single(self, contexts: Contexts) -> list[Any]:
        """Return contexts as `choose` and `update` take them."""
        return list(contexts)

    @abstractmethod
    def choose(self, context: Any) -> int:
        """Return the arm chosen."""

    @abstractmethod
    def update(self, context: Any, action: int, reward: float) -> None:
        """Learn one decision's reward."""


class Ours(Learner):
    """A policy of this library, with its checks, its records and the propensity of each decision."""

    dtype = np.float32

    def __init__(self, make: Callable[[], Policy], n_features: int, n_arms: int, seed: int) -> None:
        super().__init__(n_features, n_arms, seed)
        self.policy, self.rng, self.propensity = make(), np.random.default_rng(seed), 1.0
        self.arm_names = tuple(f"arm_{arm}" for arm in range(n_arms))
        self.policy.start(self.arm_names, n_features)

    def learn_many(self, contexts: Contexts, actions: Int64, rewards: Float64) -> None:
        """Check the rows, learn them, and factorise (which would else wait for the first decision)."""
        propensities = np.full(len(actions), 1.0 / self.n_arms)
        self.policy.update(LoggedData(contexts, actions, rewards, propensities, self.arm_names))
        if isinstance(self.policy, LinearPolicy):
            _ = self.policy.ridge.coefficients

    def choose_many(self, contexts: Contexts) -> Int64:
        """Draw from the probabilities."""
        return draw_actions(self.policy.probabilities(contexts), self.rng)

    def choose(self, context: Any) -> int:
        """Draw, and keep the propensity for the record."""
        decision = self.policy.choose(context, self.rng)
        self.propensity = decision.propensity
        return decision.action

    def update(self, context: Any, action: int, reward: float) -> None:
        """Record the decision, checked, and learn it."""
        record = LoggedData(
            context[None], np.array([action]), np.array([reward]), np.array([self.propensity]), self.arm_names
        )
        self.policy.update(record)


class MABWiser(Learner):
    """MABWiser: `MAB(arms, LearningPolicy.LinUCB | LinTS)`."""

    def __init__(self, rule: str, n_features: int, n_arms: int, seed: int, *, alpha: float = 1.0) -> None:
        super().__init__(n_features, n_arms, seed)
        library = importlib.import_module("mabwiser.mab")
        policy = getattr(library.LearningPolicy, rule)(alpha=alpha, l2_lambda=1.0)
        self.bandit = library.MAB(list(range(n_arms)), policy, seed=seed)

    def learn_many(self, contexts: Contexts, actions: Int64, rewards: Float64) -> None:
        """Fit arrays; later calls add to them."""
        learn = self.bandit.partial_fit if self.bandit._is_initial_fit else self.bandit.fit
        learn(actions, rewards, contexts)

    def choose_many(self, contexts: Contexts) -> Int64:
        """Predict a batch."""
        return np.atleast_1d(self.bandit.predict(contexts))

    def single(self, contexts: Contexts) -> list[Any]:
        """Return matrices of one row."""
        return [row[None] for row in contexts]

    def choose(self, context: Any) -> int:
        """Predict one row."""
        return int(self.bandit.predict(context))

    def update(self, context: Any, action: int, reward: float) -> None:
        """Learn one row."""
        self.bandit.partial_fit(np.array([action]), np.array([reward]), context)


class MABWiserApart(MABWiser):
    """MABWiser with a generator of its own for each arm, where a batch leaves copies of one: for explanation only."""

    def learn_many(self, contexts: Contexts, actions: Int64, rewards: Float64) -> None:
        """Fit arrays, then give each arm's model a generator."""
        super().learn_many(contexts, actions, rewards)
        create = importlib.import_module("mabwiser.utils").create_rng
        for arm, model in self.bandit._imp.arm_to_model.items():
            model.rng = create([self.seed, arm, len(contexts)])


class ContextualBandits(Learner):
    """contextualbandits: `online.LinUCB` and `online.LinTS`; it computes in float32 by default."""

    def __init__(self, rule: str, settings: dict[str, Any], n_features: int, n_arms: int, seed: int) -> None:
        super().__init__(n_features, n_arms, seed)
        library = importlib.import_module("contextualbandits.online")
        settings = {"fit_intercept": False} | settings
        seed += 1  # 0 is refused
        self.bandit = getattr(library, rule)(n_arms, random_state=seed, njobs=1, **settings)
        self.dtype = np.float32 if settings.get("use_float", True) else np.float64
        self.fitted = False

    def learn_many(self, contexts: Contexts, actions: Int64, rewards: Float64) -> None:
        """Fit arrays; later calls add to them."""
        learn = self.bandit.partial_fit if self.fitted else self.bandit.fit
        learn(contexts, actions, rewards)
        self.fitted = True

    def choose_many(self, contexts: Contexts) -> Int64:
        """Predict a batch."""
        return np.asarray(self.bandit.predict(contexts)).astype(np.int64)

    def single(self, contexts: Contexts) -> list[Any]:
        """Return matrices of one row."""
        return [row[None] for row in contexts]

    def choose(self, context: Any) -> int:
        """Predict one row."""
        return int(self.bandit.predict(context)[0])

    def update(self, context: Any, action: int, reward: float) -> None:
        """Learn one row."""
        self.bandit.partial_fit(context, np.array([action]), np.array([reward]))


class BayesianBandits(Learner):
    """bayesianbandits: a `ContextualAgent`; its UCB is a quantile of 1,000 draws."""

    def __init__(self, rule: str, learner: str, n_features: int, n_arms: int, seed: int) -> None:
        super().__init__(n_features, n_arms, seed)
        library = importlib.import_module("bayesianbandits")
        policies = {
            "UCB": partial(library.UpperConfidenceBound, alpha=ONE_SIGMA, samples=1000),
            "TS": library.ThompsonSampling,
        }
        settings = {"alpha": 1.0, "beta": 1.0} if learner == "NormalRegressor" else {}
        arms = [library.Arm(arm, learner=getattr(library, learner)(**settings)) for arm in range(n_arms)]
        self.agent = library.ContextualAgent(arms, policies[rule](), random_seed=seed)

    def learn_many(self, contexts: Contexts, actions: Int64, rewards: Float64) -> None:
        """Update each arm with its rows."""
        for arm in np.unique(actions).tolist():
            rows = actions == arm
            self.agent.select_for_update(arm).update(contexts[rows], rewards[rows])

    def choose_many(self, contexts: Contexts) -> Int64:
        """Pull a batch, in parts: 1,000 draws a row and arm are kept at once."""
        parts = np.array_split(contexts, -(-len(contexts) // 250))
        return np.concatenate([self.agent.pull(part) for part in parts])

    def single(self, contexts: Contexts) -> list[Any]:
        """Return matrices of one row."""
        return [row[None] for row in contexts]

    def choose(self, context: Any) -> int:
        """Pull one row."""
        return int(self.agent.pull(context)[0])

    def update(self, context: Any, action: int, reward: float) -> None:
        """Learn one row."""
        self.agent.select_for_update(action).update(context, np.array([reward]))


class ParetoBandit(Learner):
    """ParetoBandit: `DisjointLinUCBPolicy`, without the router around it and without forgetting."""

    def __init__(self, n_features: int, n_arms: int, seed: int) -> None:
        super().__init__(n_features, n_arms, seed)
        library = importlib.import_module("pareto_bandit.policy")
        self.names = [f"arm_{arm}" for arm in range(n_arms)]
        self.policy = library.DisjointLinUCBPolicy(self.names, n_features, alpha=1.0, init_lambda=1.0, seed=seed)
        self.place = {name: arm for arm, name in enumerate(self.names)}

    def choose(self, context: Any) -> int:
        """Select an arm."""
        return self.place[self.policy.select_arm(context)[0]]

    def update(self, context: Any, action: int, reward: float) -> None:
        """Learn one row."""
        self.policy.update(self.names[action], context, reward)


class River(Learner):
    """river: `bandit.LinUCBDisjoint`; its width is one predictive deviation, noise included."""

    def __init__(self, n_features: int, n_arms: int, seed: int) -> None:
        super().__init__(n_features, n_arms, seed)
        self.arms = list(range(n_arms))
        self.policy = importlib.import_module("river.bandit").LinUCBDisjoint(seed=seed)

    def single(self, contexts: Contexts) -> list[Any]:
        """Return dictionaries."""
        return [dict(enumerate(row)) for row in contexts.tolist()]

    def choose(self, context: Any) -> int:
        """Pull an arm."""
        return int(self.policy.pull(self.arms, context))

    def update(self, context: Any, action: int, reward: float) -> None:
        """Learn one row."""
        self.policy.update(action, context, reward)


class Coba(Learner):
    """coba: `LinUCBLearner` on contexts crossed with one-hot arms, one matrix of size k d for all arms."""

    def __init__(self, n_features: int, n_arms: int, seed: int) -> None:
        super().__init__(n_features, n_arms, seed)
        self.learner = importlib.import_module("coba.learners").LinUCBLearner(alpha=1.0, features=["ax"], seed=seed)
        self.arms = [tuple(float(arm == other) for other in range(n_arms)) for arm in range(n_arms)]

    def single(self, contexts: Contexts) -> list[Any]:
        """Return tuples."""
        return [tuple(row) for row in contexts.tolist()]

    def choose(self, context: Any) -> int:
        """Predict one row."""
        return self.arms.index(self.learner.predict(context, self.arms)[0])

    def update(self, context: Any, action: int, reward: float) -> None:
        """Learn one row."""
        self.learner.learn(context, self.arms[action], reward, 1.0)


class VowpalWabbit(Learner):
    """VW: `--cb_explore` with epsilon 0.05: stochastic gradient steps on text lines, not ridge."""

    def __init__(self, n_features: int, n_arms: int, seed: int) -> None:
        super().__init__(n_features, n_arms, seed)
        library = importlib.import_module("vowpalwabbit")
        options = f"--cb_explore {n_arms} --epsilon 0.05 --cb_type mtr --random_seed {seed} --quiet"
        self.workspace, self.rng = library.Workspace(options), np.random.default_rng(seed)
        self.probability = 1.0 / n_arms

    def choose(self, context: Any) -> int:
        """Draw from the predicted probabilities."""
        probabilities = self.workspace.predict(self._line("", context))
        action = int(draw_actions(np.array([probabilities]), self.rng)[0])
        self.probability = probabilities[action]
        return action

    def update(self, context: Any, action: int, reward: float) -> None:
        """Learn one row; VW counts arms from 1 and takes costs."""
        self.workspace.learn(self._line(f"{action + 1}:{-reward}:{self.probability:.6f} ", context))

    def _line(self, label: str, context: Float64) -> str:
        return label + "| " + " ".join(f"{i}:{value:.6g}" for i, value in enumerate(context.tolist()))
