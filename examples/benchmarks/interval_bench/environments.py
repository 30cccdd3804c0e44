"""Environments to draw logs from, in which the evaluated policy's value is known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping

import numpy as np
from scipy.special import expit, softmax

from bandits import EpsilonGreedy, FullInformationData, LinUCB, LoggedData
from bandits.data.decision import draw_actions
from bandits.off_policy import OffPolicyProblem
from bandits.policies.linear.prior_precision import choose_prior_precision

N_ARMS, N_FEATURES = 5, 5
EXPLORATION = 0.1  # of the logging policy, uniform
DIGITS_EXPLORATION = 0.5


class Environment(ABC):
    """Draws logs of independent rows.

    Attributes:
        value: the evaluated policy's true mean reward.
        embeddings: what arms share, by name, where that decides the rewards.
        quick: whether what fits models again and again takes little time.
    """

    value: float
    embeddings: Mapping[str, Hashable] | None = None
    quick = True

    @abstractmethod
    def draw(self, n_rows: int, rng: np.random.Generator) -> OffPolicyProblem:
        """Return a log and the question what the evaluated policy would have earned."""


class LinearEnvironment(Environment):
    """Five arms whose mean rewards are linear in five features, a logging policy that looks at them, normal noise.

    The evaluated policy takes the best arm with probability 0.84. The direct method's linear model is right.
    """

    reward_range: tuple[float, float] | None = None
    exploration = EXPLORATION

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._slopes = rng.normal(size=(N_FEATURES, N_ARMS)) * 1.5 / np.sqrt(N_FEATURES)
        self._intercepts = rng.normal(size=N_ARMS) / 2
        self._logged_slopes = rng.normal(size=(N_FEATURES, N_ARMS))
        contexts = rng.normal(size=(400_000, N_FEATURES))
        self.value = float((self._evaluated(contexts) * self.mean_rewards(contexts)).sum(axis=1).mean())

    def scores(self, contexts: np.ndarray) -> np.ndarray:
        """Return (n, k), by which the evaluated policy ranks arms."""
        return np.asarray(contexts @ self._slopes + self._intercepts)

    def mean_rewards(self, contexts: np.ndarray) -> np.ndarray:
        """Return (n, k) mean rewards."""
        return self.scores(contexts)

    def rewards(self, means: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return (n,) rewards of these means."""
        return means + rng.normal(size=len(means))

    def _evaluated(self, contexts: np.ndarray) -> np.ndarray:
        best = np.eye(N_ARMS)[self.scores(contexts).argmax(axis=1)]
        return np.asarray(0.8 * best + 0.2 / N_ARMS)

    def draw(self, n_rows: int, rng: np.random.Generator) -> OffPolicyProblem:
        """Return a log and the question; see the class."""
        contexts = rng.normal(size=(n_rows, N_FEATURES))
        taken = softmax(contexts @ self._logged_slopes, axis=1)
        logging = (1 - self.exploration) * taken + self.exploration / N_ARMS
        actions = draw_actions(logging, rng)
        rows = np.arange(n_rows)
        rewards = self.rewards(self.mean_rewards(contexts)[rows, actions], rng)
        log = LoggedData(contexts, actions, rewards, logging[rows, actions], tuple("abcde"))
        return OffPolicyProblem(log, self._evaluated(contexts), self.reward_range, N_ARMS / self.exploration)


class BinaryEnvironment(LinearEnvironment):
    """The same with rewards of 0 or 1, whose probabilities are logistic: the direct method's linear model is wrong."""

    reward_range = (0.0, 1.0)

    def mean_rewards(self, contexts: np.ndarray) -> np.ndarray:
        """Return (n, k) probabilities of a reward."""
        return np.asarray(expit(self.scores(contexts) - 0.5))

    def rewards(self, means: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return (n,) rewards of 0 or 1."""
        return (rng.random(len(means)) < means).astype(np.float64)


class SharpEnvironment(LinearEnvironment):
    """The linear one with a bend in the rewards, and a logging policy that explores half as much: weights reach 80.

    The direct method's model is wrong and the log hardly corrects it.
    """

    exploration = 0.05

    def mean_rewards(self, contexts: np.ndarray) -> np.ndarray:
        """Return (n, k) mean rewards, the size of the linear ones where these are negative."""
        return np.abs(self.scores(contexts))


class ManyArmsEnvironment(Environment):
    """Sixty arms of six families; the family and the context decide the rewards of 0 or 1.

    The logging policy likes some arms of each family more than others, by weights of 1 to 8; the evaluated one spreads
    its probability over the arms of the best family.
    """

    quick = False

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._families = np.arange(60) % 6
        self._names = tuple(f"arm_{arm:02}" for arm in range(60))
        self.embeddings = dict(zip(self._names, self._families.tolist(), strict=True))
        self._slopes = rng.normal(size=(N_FEATURES, 6))
        liked = 8.0 ** rng.random(60)
        self._logging = liked / liked.sum()
        contexts = rng.normal(size=(400_000, N_FEATURES))
        means = self._means(contexts)
        self.value = float(0.9 * means[np.arange(len(means)), self._best(contexts)].mean() + 0.1 * means.mean())

    def _means(self, contexts: np.ndarray) -> np.ndarray:
        return np.asarray(expit(contexts @ self._slopes - 1))

    def _best(self, contexts: np.ndarray) -> np.ndarray:
        return np.asarray((contexts @ self._slopes).argmax(axis=1))

    def draw(self, n_rows: int, rng: np.random.Generator) -> OffPolicyProblem:
        """Return a log and the question; see the class."""
        contexts = rng.normal(size=(n_rows, N_FEATURES))
        logging = np.tile(self._logging, (n_rows, 1))
        actions = draw_actions(logging, rng)
        rows = np.arange(n_rows)
        rewards = (rng.random(n_rows) < self._means(contexts)[rows, self._families[actions]]).astype(np.float64)
        evaluated = 0.9 / 10 * (self._families == self._best(contexts)[:, None]) + 0.1 / 60
        log = LoggedData(contexts, actions, rewards, logging[rows, actions], self._names, action_probabilities=logging)
        return OffPolicyProblem(log, evaluated, (0.0, 1.0), float(evaluated.max() / self._logging.min()))


class DigitsEnvironment(Environment):
    """Handwritten digits are the queries and the ten digits the arms: naming the right one is worth 1.

    The logging policy is a fair one that explores half the time, so that weights reach 20.
    """

    quick = False

    def __init__(self, seed: int) -> None:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        rows = np.random.default_rng(seed).permutation(len(images))
        contexts = images[rows] / np.linalg.norm(images[rows], axis=1, keepdims=True)
        rewards = (labels[rows, None] == np.arange(10)).astype(float)
        data = FullInformationData(contexts, rewards, tuple(f"digit_{i}" for i in range(10)))
        train, self._pool = data.subset(np.arange(600)), data.subset(np.arange(600, len(data)))
        logging = EpsilonGreedy(LinUCB(ucb_width=0.0), epsilon=DIGITS_EXPLORATION).fit(train.subset(np.arange(60)))
        greedy = LinUCB(ucb_width=0.0, prior_precision=choose_prior_precision(train))
        evaluated = EpsilonGreedy(greedy, epsilon=0.1).fit(train)
        self._logging, self._evaluated = self._pool.probabilities_of(logging), self._pool.probabilities_of(evaluated)
        self.value = self._pool.value(evaluated)

    def draw(self, n_rows: int, rng: np.random.Generator) -> OffPolicyProblem:
        """Return a log of rows drawn with replacement and the question."""
        rows = rng.integers(len(self._pool), size=n_rows)
        logging = self._logging[rows]
        actions = draw_actions(logging, rng)
        rewards = self._pool.rewards[rows, actions]
        propensities = logging[np.arange(n_rows), actions]
        log = LoggedData(self._pool.contexts[rows], actions, rewards, propensities, self._pool.arm_names)
        return OffPolicyProblem(log, self._evaluated[rows], (0.0, 1.0), 10 / DIGITS_EXPLORATION)


ENVIRONMENTS = {
    "binary": BinaryEnvironment,
    "linear": LinearEnvironment,
    "digits": DigitsEnvironment,
    "sharp": SharpEnvironment,
    "many arms": ManyArmsEnvironment,
}
