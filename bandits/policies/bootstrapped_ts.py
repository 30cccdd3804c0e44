"""Thompson sampling by the bootstrap, over any scikit-learn regressor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bandits.checks import Bool, Float32, Float64, Int64, whole
from bandits.policies.distributions import greedy
from bandits.policies.regression import Regression, Regressor
from bandits.policies.state import PolicyState

_DEFAULT = "sklearn.tree:DecisionTreeRegressor"
_SEEDS = 2**32  # as many as scikit-learn takes


class BootstrappedTS(Regression):
    """Chooses each arm as often as it is the best one in replicates of its rows, by a regressor of any kind.

        probability(a given x) = share of replicates b in which f_ab(x) is the highest; ties share,

    where f_ab is fitted to arm a's rows, each taken as often as a Poisson number of mean 1 says, which it keeps while
    none is forgotten. That stands for a draw from a posterior where the regressor has none. The probabilities are those
    of a replicate taken at random, counted out; so they are multiples of 1 / n_replicates, and an arm that no replicate
    prefers has 0: put `EpsilonGreedy` around it where others are to be valued on its log.

    An arm with fewer than `min_rows` rows comes before all others, as by `UCB1`, because replicates of few rows are
    all alike. Rows are kept, fitted and saved as by `Regression`, `n_replicates` times.

    Args:
        estimator: see `Regression`; None takes a regression tree.
        n_replicates: in [2, 10,000]; a choice after new rows costs as many fits for each arm that they taught.
        min_rows: see above.
        seed: of the replicates, and of the regressor where it takes one.
        arm_names: see `Policy`.

    Raises:
        ImportError: if scikit-learn is missing (extra `sklearn`).
        TypeError: as `Regression` does.

    Source: Eckles and Kaptein 2014, Thompson sampling with the online bootstrap (arXiv:1410.4009), Algorithm 1, there
    with double-or-nothing weights; with trees: Elmachtoub et al. 2017, A Practical Method for Solving Contextual Bandit
    Problems Using Decision Trees (arXiv:1706.04687); Poisson numbers: Oza and Russell 2001, Online Bagging.
    """

    def __init__(
        self,
        estimator: Regressor | str | Mapping[str, Any] | None = None,
        *,
        n_replicates: int = 20,
        min_rows: int = 5,
        seed: int = 0,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            _DEFAULT if estimator is None else estimator, min_rows=min_rows, seed=seed, arm_names=arm_names
        )
        self.n_replicates = whole(n_replicates, 2, 10_000, "n_replicates")

    def _replicates(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return each replicate's predicted rewards, (b, n, k) float64."""
        counts = state.derive(("bootstrap", self.seed, self.n_replicates), lambda: self._counts(state))
        seeds = [(self.seed + number) % _SEEDS for number in range(self.n_replicates)]
        return self._predicted(state, contexts, list(zip(seeds, counts, strict=True)))

    def _counts(self, state: PolicyState) -> Int64:
        """Return how often each replicate takes each row, (b, n) int64; a row's numbers stay when others follow."""
        n_rows = len(state.shared["contexts"])
        return np.random.default_rng(self.seed).poisson(1.0, (n_rows, self.n_replicates)).T

    def _predict_rewards(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return the mean of the replicates' predictions; -inf for an arm without rows."""
        return np.asarray(self._replicates(state, contexts).mean(axis=0))

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return the share of replicates in which each arm is the best."""
        replicates = self._replicates(state, contexts)
        replicates[:, :, self._n_rows(state) < self.min_rows] = np.inf
        return np.asarray(np.mean([greedy(scores, available) for scores in replicates], axis=0))
