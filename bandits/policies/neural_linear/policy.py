"""Thompson sampling over a linear model of features that a network learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arms.optional_import import optional_import
from bandits.checks import Bool, Float32, Float64, at_least, number, scale, whole
from bandits.data.logged_data import LoggedData
from bandits.data.policy_data import PolicyData
from bandits.policies.kept_rows import KeptRows
from bandits.policies.linear.lin_ts import LinTS
from bandits.policies.parameters import settings_of
from bandits.policies.reinforce.policy import MOST_HIDDEN, he_uniform
from bandits.policies.reinforce.settings import AdamWSettings
from bandits.policies.state import Arrays, PolicyState, check_not_negative, check_positive

_DEFAULT_TRAINING = AdamWSettings()
_FIRST_ROWS = 32  # from which on the network is trained


class NeuralLinearTS(KeptRows):
    """Chooses as `LinTS(sampled_share=1, prior_precision=None)` does, over the last hidden layer of a network.

        features(x) = ReLU(W_2 ReLU(W_1 x + b_1) + b_2),   reward of arm a = intercept_a + c_a . features(x) + noise

    A third layer, one output an arm, is there for training only: the three minimise the squared error of the observed
    rewards, from the weights that they had. The posterior of c_a, its noise and the exact probabilities are those of
    `LinTS` on the features of all rows, taken anew whenever rows come or the network changes. So it is uncertain of
    the last layer, not of the features.

    The network is trained when there are 32 rows, and again whenever there would be `growth` times as many as at the
    last training, had none been forgotten; in between an update costs a copy of the rows, and the choice after it one
    pass over them. All rows are kept. Training needs torch (extra `llm`); choosing needs numpy
    only. One seed gives one result; no global generator is touched.

    Args:
        hidden_size: units of each hidden layer.
        growth: > 1, see above.
        posterior_scale: see `LinTS`.
        seed: of initial weights, order of rows and the held-out split.
        training: learning rate, batch size and so on, or its fields.
        arm_names: see `Policy`.

    Source: Riquelme, Tucker and Snoek 2018, Deep Bayesian Bandits Showdown (arXiv:1802.09127), NeuralLinear, there
    trained after a fixed number of rows; Snoek et al. 2015, Scalable Bayesian Optimization Using Deep Neural Networks
    (arXiv:1502.05700), section 3.
    """

    def __init__(
        self,
        hidden_size: int = 32,
        *,
        growth: float = 1.5,
        posterior_scale: float = 1.0,
        seed: int = 0,
        training: AdamWSettings | Mapping[str, Any] = _DEFAULT_TRAINING,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(arm_names)
        self.hidden_size = whole(hidden_size, 1, MOST_HIDDEN, "hidden_size")
        if not number(growth, "growth", "a finite number > 1") > 1:
            raise ValueError(f"growth must be a finite number > 1, got {growth!r}")
        self.growth = float(growth)
        self.posterior_scale = scale(posterior_scale, "posterior_scale")
        self.seed = at_least(seed, 0, "seed")
        self.training = settings_of(AdamWSettings, training, "training")
        self._head = LinTS(
            prior_precision=None, intercept_precision=3.0, sampled_share=1.0, posterior_scale=self.posterior_scale
        )

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return no rows, and random hidden layers."""
        rng, h = np.random.default_rng(self.seed), self.hidden_size
        shared = {
            "mean": np.zeros(n_features, np.float32),
            "scale": np.ones(n_features, np.float32),
            "weight_1": he_uniform(rng, h, n_features),
            "bias_1": np.zeros(h, np.float32),
            "weight_2": he_uniform(rng, h, h),
            "bias_2": np.zeros(h, np.float32),
            "trained_rows": np.zeros(1, np.int64),
            "rows_since": np.zeros(1, np.int64),
        }
        return super()._initial_state(arm_names, n_features).updated(shared=shared)

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject layers of another width than `hidden_size`, features of no scale and negative counts."""
        width = arrays["shared.bias_1"].shape
        if width != (self.hidden_size,):
            raise ValueError(f"shared.bias_1 must be of shape ({self.hidden_size},), hidden_size, got {width}")
        check_positive(arrays, "shared.scale")
        check_not_negative(arrays, "shared.trained_rows", "shared.rows_since")
        super().check_arrays(arrays)

    def check_state(self) -> None:
        """Reject what `LinTS` rejects, of the features."""
        self._head.state = self._of_features(self.learned)
        self._head.check_state()
        self._head.state = None

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Keep the rows, and train where there are enough more.

        Raises:
            ImportError: if torch is missing.
        """
        new = super()._update(state, data)
        n_rows, n_since = len(new.shared["contexts"]), int(state.shared["rows_since"][0]) + len(data)
        if n_rows < _FIRST_ROWS or n_since < (self.growth - 1) * float(state.shared["trained_rows"][0]):
            return new.updated(shared={"rows_since": np.array([n_since])})
        optional_import("torch", "llm")
        from bandits.policies.neural_linear.training import trained_layers

        layers = trained_layers(new, self.training, self.seed)
        counts = {"trained_rows": np.array([n_rows]), "rows_since": np.zeros(1, np.int64)}
        return new.updated(shared={**layers, **counts})

    def _features(self, state: PolicyState, contexts: Float32) -> Float32:
        """Return the last hidden layer, (n, hidden_size) float32."""
        shared = {name: array.astype(np.float64) for name, array in state.shared.items() if name != "contexts"}
        hidden = (contexts - shared["mean"]) / shared["scale"]
        hidden = np.maximum(hidden @ shared["weight_1"].T + shared["bias_1"], 0.0)
        hidden = np.maximum(hidden @ shared["weight_2"].T + shared["bias_2"], 0.0)
        return hidden.astype(np.float32)

    def _of_features(self, state: PolicyState) -> PolicyState:
        """Return what `LinTS` knows from the features of all rows."""
        return state.derive("of features", lambda: self._learned_head(state))

    def _learned_head(self, state: PolicyState) -> PolicyState:
        blank = self._head._initial_state(state.arm_names, self.hidden_size)
        weights = state.per_arm["weights"]
        rows, arms = np.nonzero(weights.T)
        if not len(rows):
            return blank
        features = self._features(state, state.shared["contexts"])[rows]
        rewards = state.per_arm["rewards"][arms, rows]
        log = LoggedData(features, arms, rewards, np.ones(len(rows)), state.arm_names, weights=weights[arms, rows])
        return self._head._update(blank, log)

    def _predict_rewards(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return the posterior's mean rewards."""
        return self._head._predict_rewards(self._of_features(state), self._features(state, contexts))

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return each arm's probability of having the highest mean reward, given the features."""
        return self._head._probabilities(self._of_features(state), self._features(state, contexts), available)
