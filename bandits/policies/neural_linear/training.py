"""How the network of `NeuralLinearTS` is trained. Imported on first use, because it needs torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bandits.policies.reinforce.settings import AdamWSettings
from bandits.policies.reinforce.training import feature_scale, layers_of, network_of, run_epochs
from bandits.policies.state import Arrays, PolicyState


def trained_layers(state: PolicyState, settings: AdamWSettings, seed: int) -> Arrays:
    """Return the two hidden layers, and by what contexts are standardised, after training on all rows that are kept.

    Inside, arms go in alphabetical order, so that the result does not depend on how they are listed.
    """
    contexts = state.shared["contexts"]
    n_rows, n_arms, hidden_size = len(contexts), len(state.arm_names), len(state.shared["bias_1"])
    rng = np.random.default_rng([seed, n_rows])
    generator = torch.Generator(settings.device).manual_seed(int(rng.integers(2**62)))
    shuffled = rng.permutation(n_rows)
    n_held_out = int(settings.held_out_share * n_rows)
    held_out, training = np.sort(shuffled[:n_held_out]), np.sort(shuffled[n_held_out:])
    shared = dict(state.shared)
    if not shared["trained_rows"][0]:
        shared["mean"] = contexts[training].mean(axis=0)
        shared["scale"] = feature_scale(contexts[training].std(axis=0))
    order = np.argsort(state.arm_names)
    output = {"weight_3": np.zeros((n_arms, hidden_size), np.float32), "bias_3": np.zeros(n_arms, np.float32)}
    network = network_of(PolicyState(state.arm_names, state.n_features, output, shared), order, settings.device)
    objective = SquaredError(state.per_arm["rewards"][order].T, state.per_arm["weights"][order].T, settings.device)
    standardised = torch.from_numpy((contexts - shared["mean"]) / shared["scale"])
    rows = (torch.from_numpy(training), torch.from_numpy(held_out))
    run_epochs(network, standardised, rows, objective, settings, generator)
    _, layers = layers_of(network, order)
    return {**layers, "mean": shared["mean"], "scale": shared["scale"]}


class SquaredError:
    """The weighted mean squared error of the observed rewards, in units of their variance.

    Args:
        rewards: (n, k) float64.
        weights: (n, k) float64, 0 where a reward was not observed.
        device: where to compute.
    """

    def __init__(self, rewards: np.ndarray, weights: np.ndarray, device: str = "cpu") -> None:
        seen = weights > 0
        mean = np.average(rewards[seen], weights=weights[seen])
        spread = float(np.sqrt(np.average((rewards[seen] - mean) ** 2, weights=weights[seen])))
        standardised = (rewards - mean) / (spread if spread > 1e-12 else 1.0)
        self._rewards = torch.from_numpy(standardised.astype(np.float32)).to(device)
        self._weights = torch.from_numpy(weights.astype(np.float32)).to(device)

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Return the error of predictions (b, k) of rows (b,)."""
        weights = self._weights[rows]
        errors = weights * (logits - self._rewards[rows]) ** 2
        return errors.sum() / weights.sum().clamp_min(1e-12)

    def value(self, logits: Tensor, rows: Tensor) -> float:
        """Return minus the error."""
        return -float(self.loss(logits, rows))
