"""How `Reinforce` is trained. Imported on first use, because it needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from bandits.checks import Float64, Int64
from bandits.data.feedback import Feedback
from bandits.data.policy_data import PolicyData
from bandits.data.splits import query_ranks
from bandits.policies.linear.lin_ucb import LinUCB
from bandits.policies.reinforce.settings import AdamWSettings, ObjectiveSettings
from bandits.policies.state import Arrays, PolicyState

_DRAWS = 4  # actions drawn a row on full information; the others are each one's baseline


class Objective(Protocol):
    """What is maximised: a loss to step on, and the value that decides when to stop."""

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Return the scalar whose gradient is minus the policy gradient; logits (b, k) of rows (b,)."""

    def value(self, logits: Tensor, rows: Tensor) -> float:
        """Return the estimated mean reward of the policy on rows (b,) with logits (b, k)."""


def train(
    state: PolicyState, data: PolicyData, aim: ObjectiveSettings, settings: AdamWSettings, seed: int
) -> PolicyState:
    """Return the state with weights trained on `data`, whose arms are in its order.

    Inside, arms go in alphabetical order, so that the result does not depend on how they are listed.
    """
    n_updates = int(state.shared["n_updates"][0])
    rng = np.random.default_rng([seed, n_updates])
    generator = torch.Generator(settings.device).manual_seed(int(rng.integers(2**62)))
    training_rows, held_out_rows = split_queries(data, settings.held_out_share, rng)
    shared: dict[str, np.ndarray] = {"n_updates": np.array([n_updates + 1])}
    if n_updates == 0:
        shared["mean"] = data.contexts[training_rows].mean(axis=0)
        shared["scale"] = feature_scale(data.contexts[training_rows].std(axis=0))
    started = state.updated(shared=shared)
    contexts = (data.contexts - started.shared["mean"]) / started.shared["scale"]
    order = np.argsort(state.arm_names)
    feedback = data.feedback()
    objective: Objective
    if feedback.propensities is not None:
        predicted = np.zeros(0) if aim.gradient == "exact" else baselines(data, training_rows)
        objective = LoggedObjective(aim, feedback, order, predicted, settings.device)
    else:
        objective = FullInformationObjective(aim, feedback, order, generator, settings.device)
    network = network_of(started, order, settings.device)
    rows = (torch.from_numpy(training_rows), torch.from_numpy(held_out_rows))
    run_epochs(network, torch.from_numpy(contexts), rows, objective, settings, generator)
    per_arm, layers = layers_of(network, order)
    return started.updated(per_arm, layers)


class FullInformationObjective:
    """Every observed arm's reward is known: draws of the policy's own, or the exact gradient."""

    def __init__(
        self,
        aim: ObjectiveSettings,
        feedback: Feedback,
        order: np.ndarray,
        generator: torch.Generator,
        device: str = "cpu",
    ) -> None:
        if len(feedback.rewards) == feedback.n_rows and feedback.n_arms > 1:
            raise ValueError(
                "Reinforce learns from rows that show one arm each by importance weights: pass propensities="
            )
        by_arm, weights = feedback.by_arm()
        rewards, observed = by_arm.T[:, order], weights.T[:, order] > 0
        means = rewards.sum(axis=1, keepdims=True) / observed.sum(axis=1, keepdims=True)
        scale = _spread((rewards - means)[observed])
        self._rewards = torch.from_numpy(rewards.astype(np.float32)).to(device)
        self._advantages = torch.from_numpy(((rewards - means) / scale).astype(np.float32)).to(device)
        self._hidden = None if feedback.available is None else torch.from_numpy(~observed).to(device)
        self._aim = aim
        self._generator = generator

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Return minus (advantage-weighted log probabilities + entropy); see `Reinforce`."""
        log_probabilities = self._log_probabilities(logits, rows)
        probabilities = log_probabilities.exp()
        advantages = self._advantages[rows]
        if self._aim.gradient == "exact":
            gain = (probabilities * advantages).sum(dim=1).mean()
        else:
            drawn = torch.multinomial(probabilities.detach(), _DRAWS, replacement=True, generator=self._generator)
            rewards = advantages.gather(1, drawn)  # (b, draws)
            others = (rewards.sum(dim=1, keepdim=True) - rewards) / (_DRAWS - 1)
            gain = ((rewards - others) * log_probabilities.gather(1, drawn)).mean()
        return -gain - self._aim.entropy_weight * _entropy(log_probabilities)

    def value(self, logits: Tensor, rows: Tensor) -> float:
        """Return the mean over rows of sum_a pi(a) r(a), among the observed arms."""
        return float((self._log_probabilities(logits, rows).exp() * self._rewards[rows]).sum(dim=1).mean())

    def _log_probabilities(self, logits: Tensor, rows: Tensor) -> Tensor:
        return _log_softmax(logits, None if self._hidden is None else self._hidden[rows])


class LoggedObjective:
    """One arm a row is known: the policy's gradient by importance weights.

    Args:
        baselines: (n, k) float64, what reward each arm is predicted to bring, in the data's order of arms.
    """

    def __init__(
        self,
        aim: ObjectiveSettings,
        feedback: Feedback,
        order: np.ndarray,
        baselines: Float64,
        device: str = "cpu",
    ) -> None:
        if feedback.propensities is None:
            raise ValueError("Reinforce learns from a log by importance weights: pass propensities=")
        if aim.gradient == "exact":
            raise ValueError('gradient="exact" needs FullInformationData: bandit feedback shows one arm a row')
        place: Int64 = np.argsort(order)
        residuals = feedback.rewards - baselines[feedback.rows, feedback.actions]
        scale = _spread(feedback.rewards - baselines.mean(axis=1))
        self._actions = torch.from_numpy(place[feedback.actions]).to(device)[:, None]
        self._advantages = torch.from_numpy((residuals / scale).astype(np.float32)).to(device)
        self._baselines = torch.from_numpy((baselines[:, order] / scale).astype(np.float32)).to(device)
        self._propensities = torch.from_numpy(feedback.propensities.astype(np.float32)).to(device)
        weights = np.ones(feedback.n_rows) if feedback.weights is None else feedback.weights
        self._row_weights = torch.from_numpy(weights.astype(np.float32)).to(device)
        self._hidden = None
        if feedback.available is not None:
            self._hidden = torch.from_numpy(~feedback.available[:, order]).to(device)
        self._aim = aim

    def loss(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Return minus (weighted advantage-weighted log probabilities + entropy); see `Reinforce`."""
        log_probabilities, log_taken = self._log_probabilities(logits, rows)
        weights = self.importance_weights(log_taken.detach(), rows)
        if self._aim.self_normalise:
            weights = weights / weights.mean().clamp_min(1e-12)  # all-zero row weights must not divide by zero
        gain = (weights * self._advantages[rows] * log_taken).mean() + self._predicted(log_probabilities, rows)
        return -gain - self._aim.entropy_weight * _entropy(log_probabilities)

    def value(self, logits: Tensor, rows: Tensor) -> float:
        """Return mean(sum_a pi(a) b(a)) plus sum(w (r - b)) over sum(w), or over the sum of row weights."""
        log_probabilities, log_taken = self._log_probabilities(logits, rows)
        weights = self.importance_weights(log_taken, rows)
        total = weights.sum() if self._aim.self_normalise else self._row_weights[rows].sum()
        corrections = (weights * self._advantages[rows]).sum() / total.clamp_min(1e-12)
        return float(corrections + self._predicted(log_probabilities, rows))

    def _predicted(self, log_probabilities: Tensor, rows: Tensor) -> Tensor:
        """Return the mean over rows of sum_a pi(a) b(a), rows counting by their weights."""
        row_weights = self._row_weights[rows]
        values = (log_probabilities.exp() * self._baselines[rows]).sum(dim=1)
        return (row_weights * values).sum() / row_weights.sum().clamp_min(1e-12)

    def _log_probabilities(self, logits: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return log probabilities (b, k) and those of the actions taken (b,)."""
        log_probabilities = _log_softmax(logits, None if self._hidden is None else self._hidden[rows])
        return log_probabilities, log_probabilities.gather(1, self._actions[rows])[:, 0]

    def importance_weights(self, log_taken: Tensor, rows: Tensor) -> Tensor:
        """Return each row's clipped weight, times how many rows it stands for, from its action's log-probability."""
        weights = log_taken.exp() / self._propensities[rows]
        if self._aim.weight_clip is not None:
            weights = weights.clamp_max(self._aim.weight_clip)
        return weights * self._row_weights[rows]


def baselines(data: PolicyData, training_rows: np.ndarray) -> Float64:
    """Return each arm's predicted reward on each row, (n, k) float64, by ridge regression on the training rows."""
    ridge = LinUCB(ucb_width=0.0, prior_precision=None, arm_names=data.arm_names).fit(data.subset(training_rows))
    return ridge.predict_rewards(data.contexts)


def run_epochs(
    network: nn.Sequential,
    contexts: Tensor,
    rows: tuple[Tensor, Tensor],
    objective: Objective,
    settings: AdamWSettings,
    generator: torch.Generator,
) -> None:
    """Step through shuffled batches; stop when the held-out value has not risen for `patience` passes."""
    training, held_out = (part.to(settings.device) for part in rows)
    contexts = contexts.to(settings.device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    best_value, best_epoch, best_weights = -np.inf, 0, _copy(network)
    batch_size = settings.batch_size or min(max(len(training) // 64, 64), 512)
    for epoch in range(settings.max_epochs + 1):
        if epoch > 0:  # before the first pass the start itself is scored, so that training never makes it worse
            for batch in _batches(training, batch_size, generator):
                logits = network(contexts[batch])
                if not torch.isfinite(logits).all():
                    raise RuntimeError("training diverged (outputs are not finite): lower learning_rate")
                optimizer.zero_grad(set_to_none=True)
                objective.loss(logits, batch).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        if len(held_out) == 0:
            continue
        with torch.no_grad():
            value = objective.value(network(contexts[held_out]), held_out)
        if value > best_value:
            best_value, best_epoch, best_weights = value, epoch, _copy(network)
        elif epoch - best_epoch >= settings.patience:
            break
    if len(held_out) > 0:
        network.load_state_dict(best_weights)


def _batches(rows: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    shuffled = rows[torch.randperm(len(rows), generator=generator, device=rows.device)]
    yield from torch.split(shuffled, batch_size)


def split_queries(data: PolicyData, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return row indices to train on and held out; rows of one query stay together."""
    ranks = query_ranks(data, rng)
    held_out = ranks < int(share * (ranks.max() + 1))
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def network_of(state: PolicyState, order: np.ndarray, device: str) -> nn.Sequential:
    """Return the three layers with the state's weights, arms in `order`."""
    arrays = {**state.shared, **{name: array[order] for name, array in state.per_arm.items()}}
    layers: list[nn.Module] = []
    for number in (1, 2, 3):
        weight = torch.from_numpy(arrays[f"weight_{number}"].copy())
        n_out, n_in = weight.shape
        layer = nn.Linear(n_in, n_out, device="meta").to_empty(device="cpu")  # draws no random numbers
        layer.load_state_dict({"weight": weight, "bias": torch.from_numpy(arrays[f"bias_{number}"].copy())})
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).to(device)


def layers_of(network: nn.Sequential, order: np.ndarray) -> tuple[Arrays, Arrays]:
    """Return the network's weights as a state's arrays, per arm (back in the state's order) and shared."""
    place = np.argsort(order)
    weights = {name: value.cpu().numpy().copy() for name, value in network.state_dict().items()}
    shared = {}
    for number, layer in ((1, 0), (2, 2)):
        shared[f"weight_{number}"] = weights[f"{layer}.weight"]
        shared[f"bias_{number}"] = weights[f"{layer}.bias"]
    return {"weight_3": weights["4.weight"][place], "bias_3": weights["4.bias"][place]}, shared


def _log_softmax(logits: Tensor, hidden: Tensor | None) -> Tensor:
    """Return log probabilities; hidden arms get a very small, finite one, so that gradients stay finite."""
    return torch.log_softmax(logits if hidden is None else logits.masked_fill(hidden, -1e9), dim=1)


def _entropy(log_probabilities: Tensor) -> Tensor:
    return -(log_probabilities.exp() * log_probabilities).sum(dim=1).mean()


def _copy(network: nn.Sequential) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def feature_scale(spread: np.ndarray) -> np.ndarray:
    """Return what features (d,) are divided by: their spread, or the median one, lest rare words become huge."""
    varying = spread > 1e-6
    least = np.median(spread[varying]) if varying.any() else 1.0
    return np.where(varying, np.maximum(spread, least), 1.0).astype(np.float32)


def _spread(values: Float64) -> float:
    """Return the standard deviation, or 1 where there is none to divide by."""
    spread = float(np.std(values))
    return spread if spread > 1e-12 else 1.0
