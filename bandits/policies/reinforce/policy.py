"""REINFORCE: a softmax policy over a small network, trained by the score-function gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arms.optional_import import optional_import
from bandits.checks import Bool, Float32, Float64, at_least, whole
from bandits.data.policy_data import PolicyData
from bandits.policies.parameters import settings_of
from bandits.policies.policy import Policy
from bandits.policies.reinforce.settings import AdamWSettings, ObjectiveSettings
from bandits.policies.softmax import softmax
from bandits.policies.state import Arrays, PolicyState, check_not_negative, check_positive

MOST_HIDDEN = 2**16

_DEFAULT_OBJECTIVE = ObjectiveSettings()
_DEFAULT_TRAINING = AdamWSettings()


class Reinforce(Policy):
    """Chooses with probabilities softmax(network(x)), and makes what brought reward more probable.

    The network has three layers, d -> hidden_size -> hidden_size -> k with ReLU between, over standardised
    contexts; a feature that spreads less than the median one is divided by that one's spread. It maximises
    expected reward plus `objective.entropy_weight` times the policy's entropy:

        gradient = E[ w (r - b) grad log pi(a given x) ] + entropy_weight * grad H(pi(. given x)) + grad B

    - On `FullInformationData` actions are drawn from the policy itself (w = 1), four a row; the baseline b of
      a draw is the mean reward of the row's three other draws, and B = 0. The "exact" gradient takes that
      gradient of sum_a pi(a given x) r(a) instead.
    - Rows that show one arm each without a propensity are rejected.
    - On `LoggedData` w = pi(a given x) / propensity, clipped at `weight_clip` and, with `self_normalise`,
      divided by its mean in the batch. The baseline b(x, a) is a ridge regression of the arm's reward on the
      context, and B = E sum_a pi(a given x) b(x, a) puts back what it takes out: the gradient of the doubly robust
      value, which has far less variance than that of a baseline without a.

    Advantages are divided by their standard deviation over the data, so settings do not depend on the
    reward's unit. A held-out share of the queries decides when to stop, and the best weights are kept.
    Training needs torch (extra `llm`); choosing needs numpy only. `update` trains on from the current
    weights, so batches do not equal one fit. One seed gives one result; no global generator is touched.

    Args:
        objective: what is maximised and by which gradient, or its fields.
        hidden_size: units of each hidden layer.
        seed: of initial weights, order of rows, draws and the held-out split.
        training: learning rate, batch size and so on, or its fields.
        arm_names: see `Policy`.

    Source: Williams 1992, eq. 4 to 6 (score function with baseline); Kool et al. 2019, Buy 4 REINFORCE
    Samples, Get a Baseline for Free! (the other draws as baseline); Swaminathan and Joachims 2015 (self-
    normalised weights); Dudik et al. 2011, Doubly Robust Policy Evaluation and Learning (arXiv:1103.4601);
    Loshchilov and Hutter 2019 (AdamW, arXiv:1711.05101).
    """

    def __init__(
        self,
        objective: ObjectiveSettings | Mapping[str, Any] = _DEFAULT_OBJECTIVE,
        *,
        hidden_size: int = 64,
        seed: int = 0,
        training: AdamWSettings | Mapping[str, Any] = _DEFAULT_TRAINING,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(arm_names)
        self.objective = settings_of(ObjectiveSettings, objective, "objective")
        self.hidden_size = whole(hidden_size, 1, MOST_HIDDEN, "hidden_size")
        self.seed = at_least(seed, 0, "seed")
        self.training = settings_of(AdamWSettings, training, "training")

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return random hidden layers and an output layer of zeros: all arms equally likely."""
        rng = np.random.default_rng(self.seed)
        h, k = self.hidden_size, len(arm_names)
        shared = {
            "mean": np.zeros(n_features, np.float32),
            "scale": np.ones(n_features, np.float32),
            "weight_1": he_uniform(rng, h, n_features),
            "bias_1": np.zeros(h, np.float32),
            "weight_2": he_uniform(rng, h, h),
            "bias_2": np.zeros(h, np.float32),
            "n_updates": np.zeros(1, np.int64),
        }
        per_arm = {"weight_3": np.zeros((k, h), np.float32), "bias_3": np.zeros(k, np.float32)}
        return PolicyState(arm_names, n_features, per_arm, shared)

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject layers of another width than `hidden_size`, features of no scale and a negative count."""
        width = arrays["shared.bias_1"].shape
        if width != (self.hidden_size,):
            raise ValueError(f"shared.bias_1 must be of shape ({self.hidden_size},), hidden_size, got {width}")
        check_positive(arrays, "shared.scale")
        check_not_negative(arrays, "shared.n_updates")

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Train on `data` from the current weights; contexts are standardised as in the first update.

        Raises:
            ImportError: if torch is missing.
            ValueError: if gradient="exact" meets rows on which one arm is known, or those have no propensities.
        """
        optional_import("torch", "llm")
        from bandits.policies.reinforce.training import train

        return train(state, data, self.objective, self.training, self.seed)

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return softmax of the network's outputs over the available arms."""
        shared, per_arm = state.shared, state.per_arm
        hidden = (contexts - shared["mean"]) / shared["scale"]
        hidden = np.maximum(hidden @ shared["weight_1"].T + shared["bias_1"], 0.0)
        hidden = np.maximum(hidden @ shared["weight_2"].T + shared["bias_2"], 0.0)
        return softmax((hidden @ per_arm["weight_3"].T + per_arm["bias_3"]).astype(np.float64), available)


def he_uniform(rng: np.random.Generator, n_out: int, n_in: int) -> np.ndarray:
    """Return (n_out, n_in) float32, variance 2 / n_in. Source: He et al. 2015 (arXiv:1502.01852)."""
    bound = np.sqrt(6.0 / n_in)
    return rng.uniform(-bound, bound, (n_out, n_in)).astype(np.float32)
