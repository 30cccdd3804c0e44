"""Small decision problems whose every possible log can be listed."""

from itertools import product

import numpy as np

from bandits import LoggedData
from bandits.off_policy import OffPolicyProblem


class EnumeratedProblem:
    """Two contexts, three arms, rewards of two values each; every log of `n_rows` rows with its probability."""

    contexts = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    context_probabilities = np.array([0.3, 0.7])
    logging = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])
    evaluation = np.array([[0.2, 0.2, 0.6], [0.0, 0.5, 0.5]])
    win_probabilities = np.array([[0.1, 0.5, 0.9], [0.4, 0.2, 0.7]])  # of reward 2; else it is -1
    arm_names = ("a", "b", "c")
    low, high = -1.0, 2.0

    @property
    def mean_rewards(self):
        return self.low + (self.high - self.low) * self.win_probabilities

    @property
    def value(self):
        return float(self.context_probabilities @ (self.evaluation * self.mean_rewards).sum(axis=1))

    @property
    def max_weight(self):
        return float((self.evaluation / self.logging).max())

    def rows(self):
        """Return every (context, action, reward) with its probability under the logging policy."""
        listed = []
        for x, a, win in product(range(2), range(3), (False, True)):
            reward_probability = self.win_probabilities[x, a] if win else 1 - self.win_probabilities[x, a]
            listed.append(
                (
                    x,
                    a,
                    self.high if win else self.low,
                    self.context_probabilities[x] * self.logging[x, a] * reward_probability,
                )
            )
        return listed

    def logs(self, n_rows):
        """Yield (problem, probability) for every log of n_rows rows."""
        for rows in product(self.rows(), repeat=n_rows):
            x, a, r, probability = (np.array(column) for column in zip(*rows, strict=True))
            yield self.problem(x, a, r), float(probability.prod())

    def problem(self, x, a, r, **bounds):
        log = LoggedData(self.contexts[x], a, r, self.logging[x, a], self.arm_names)
        return OffPolicyProblem(log, self.evaluation[x], **bounds)

    def draw(self, n_rows, rng, **bounds):
        x = rng.choice(2, size=n_rows, p=self.context_probabilities)
        uniform = rng.random(n_rows)
        a = np.minimum((np.cumsum(self.logging[x], axis=1) <= uniform[:, None]).sum(axis=1), 2)
        r = np.where(rng.random(n_rows) < self.win_probabilities[x, a], self.high, self.low)
        return self.problem(x, a, r, **bounds)


def random_problem(rng, n_rows=40, n_arms=3, **columns):
    """Return a problem with random contexts, probabilities and rewards."""
    logging = rng.dirichlet(np.ones(n_arms) * 2, size=n_rows) * 0.9 + 0.1 / n_arms
    evaluation = rng.dirichlet(np.ones(n_arms), size=n_rows)
    actions = np.array([rng.choice(n_arms, p=row) for row in logging])
    log = LoggedData(
        rng.normal(size=(n_rows, 4)),
        actions,
        rng.normal(size=n_rows),
        logging[np.arange(n_rows), actions],
        tuple(f"arm_{i}" for i in range(n_arms)),
        **columns,
    )
    return OffPolicyProblem(log, evaluation)
