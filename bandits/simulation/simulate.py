"""Let policies decide and learn in a simulated environment, and count their regret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bandits import checks
from bandits.checks import Float64, Int64
from bandits.data.decision import draw_actions
from bandits.data.logged_data import LoggedData
from bandits.policies.named_policies import named_policies
from bandits.policies.policy import Policy
from bandits.policies.seeded import seeded
from bandits.seeds import SeedTree
from bandits.simulation.environments.environment import Environment, EnvironmentBatch
from bandits.simulation.simulation import Simulation, SimulationRow, over_seeds

_CURVE_POINTS = 200
_CONFIDENCE = 0.95


def simulate(
    policies: Policy | Mapping[str, Policy],
    environment: Environment,
    n_decisions: int,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    *,
    update_every: int = 1,
) -> Simulation:
    """Run policies that learn from their own decisions, once a seed each, and count what they lost.

    regret after t decisions = sum over i <= t of max_a E[r_i(a)] - E[r_i(a_i)], on the contexts of this run.

    The environment, the draws of arms and whatever is random inside a policy have streams of their own, so that all
    policies see the same contexts and rewards.

    Args:
        policies: by the name to print, or one alone; each starts without data in each run, from a fresh copy.
        environment: the source of contexts and rewards.
        n_decisions: of each run.
        seeds: different integers >= 0.
        update_every: decisions between updates, which then come as one batch; 1 learns after each.

    Raises:
        ValueError: if a count is below 1, seeds repeat, or a policy knows other arms than the environment.
    """
    for what, count in (("n_decisions", n_decisions), ("update_every", update_every)):
        checks.at_least(count, 1, what)
    if not isinstance(environment, Environment):
        raise TypeError(f"environment must be an Environment, got {environment!r}")
    policies = named_policies(policies)
    if not policies:
        raise ValueError("simulate needs at least one policy, got none")
    _check(policies, environment, seeds)
    points = np.unique(np.linspace(1, n_decisions, min(n_decisions, _CURVE_POINTS)).round().astype(np.int64))
    runs: dict[str, list[_Run]] = {name: [] for name in policies}
    for seed in seeds:
        tree = SeedTree(seed)
        batch = environment.draw(n_decisions, tree.rng("environment"))
        if batch.rewards.shape != (n_decisions, len(environment.arm_names)):
            raise ValueError(f"the environment gave rewards of shape {batch.rewards.shape} for {n_decisions} decisions")
        for name, policy in policies.items():
            own = seeded(policy, tree.child("policy"))
            runs[name].append(_Run(batch, _decisions(own, environment.arm_names, batch, tree, update_every), points))
    return Simulation(
        rows=tuple(_row(name, own, environment.arm_names) for name, own in runs.items()),
        environment=type(environment).__name__,
        n_decisions=n_decisions,
        update_every=update_every,
        seeds=tuple(seeds),
        decisions=tuple(points.tolist()),
        confidence=_CONFIDENCE,
    )


def _check(policies: Mapping[str, Policy], environment: Environment, seeds: Sequence[int]) -> None:
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be one or more different integers, got {list(seeds)}")
    for name, policy in policies.items():
        own = policy.clone().arm_names
        if own and set(own) != set(environment.arm_names):
            shown = f"{', '.join(own)}, the environment's {', '.join(environment.arm_names)}"
            raise ValueError(f"the arms of policy {name!r} are {shown}")


class _Run:
    """What one policy's decisions earned with one seed."""

    def __init__(self, batch: EnvironmentBatch, actions: Int64, points: Int64) -> None:
        rows = np.arange(len(actions))
        lost = batch.means.max(axis=1) - batch.means[rows, actions]
        self.regret: list[float] = np.cumsum(lost)[points - 1].tolist()
        self.mean_reward = float(batch.rewards[rows, actions].mean())
        self.counts = np.bincount(actions, minlength=batch.means.shape[1])


def _row(name: str, runs: Sequence[_Run], arm_names: tuple[str, ...]) -> SimulationRow:
    figures = np.array([(run.mean_reward, run.regret[-1]) for run in runs])
    value, regret = over_seeds(figures, _CONFIDENCE)
    counts = np.sum([run.counts for run in runs], axis=0)
    return SimulationRow(
        value=value.value,
        low=value.low,
        high=value.high,
        name=name,
        regret=regret,
        cumulative_regret=tuple(tuple(run.regret) for run in runs),
        by_seed=tuple(run.mean_reward for run in runs),
        arm_shares=dict(zip(arm_names, (counts / counts.sum()).tolist(), strict=True)),
    )


def _decisions(
    policy: Policy, arm_names: tuple[str, ...], batch: EnvironmentBatch, tree: SeedTree, update_every: int
) -> Int64:
    """Return the chosen arms, (n,) int64, in the order of `arm_names`."""
    rng = tree.rng("decisions")
    names = policy.arm_names or arm_names
    column = np.array([arm_names.index(name) for name in names])
    policy.start(names, batch.contexts.shape[1])
    n = len(batch.contexts)
    chosen = np.empty(n, np.int64)
    for start in range(0, n, update_every):
        contexts = batch.contexts[start : start + update_every]
        actions, propensities = _decide(policy, contexts, rng)
        rows = np.arange(start, start + len(contexts))
        chosen[rows] = column[actions]
        policy.update(LoggedData(contexts, actions, batch.rewards[rows, chosen[rows]], propensities, names))
    return chosen


def _decide(policy: Policy, contexts: np.ndarray, rng: np.random.Generator) -> tuple[Int64, Float64]:
    """Return actions and propensities, (n,) each; one uniform number is drawn a row either way."""
    if len(contexts) == 1:
        decision = policy.choose(contexts[0], rng)
        return np.array([decision.action]), np.array([decision.propensity])
    probabilities = policy.probabilities(contexts)
    actions = draw_actions(probabilities, rng)
    return actions, np.minimum(probabilities[np.arange(len(actions)), actions], 1.0)
