"""Let a policy decide and learn in a simulated world, and count its regret."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.checks import Float64, Int64
from bandits.data.decision import draw_actions
from bandits.data.logged_data import LoggedData
from bandits.policies.policy import Policy
from bandits.policies.seeded import seeded
from bandits.seeds import SeedTree
from bandits.simulation.environments.environment import Environment, Situations
from bandits.simulation.simulation import Simulation

_CURVE_POINTS = 200


def simulate(
    policy: Policy,
    environment: Environment,
    n_decisions: int,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    *,
    update_every: int = 1,
) -> Simulation:
    """Run a policy that learns from its own decisions, once a seed, and count what it lost.

    regret after t decisions = sum over i <= t of max_a E[r_i(a)] - E[r_i(a_i)], on the situations of this run.

    The world, the draws of arms and whatever is random inside the policy have streams of their own, so that two
    policies simulated with one seed meet the same situations.

    Args:
        policy: starts without data in each run, from a fresh copy.
        environment: the world.
        n_decisions: of each run.
        seeds: different integers >= 0.
        update_every: decisions between updates, which then come as one batch; 1 learns after each.

    Raises:
        ValueError: if a count is below 1, seeds repeat, or the policy knows other arms than the world.
    """
    for name, count in (("n_decisions", n_decisions), ("update_every", update_every)):
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} must be an integer >= 1, got {count!r}")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be one or more different integers, got {list(seeds)}")
    own = policy.clone().arm_names
    if own and set(own) != set(environment.arm_names):
        raise ValueError(f"the policy's arms are {', '.join(own)}, the world's {', '.join(environment.arm_names)}")
    points = np.unique(np.linspace(1, n_decisions, min(n_decisions, _CURVE_POINTS)).round().astype(np.int64))
    curves, rewards, counts = [], [], np.zeros(len(environment.arm_names))
    for seed in seeds:
        tree = SeedTree(seed)
        situations = environment.situations(n_decisions, tree.rng("environment"))
        if situations.rewards.shape != (n_decisions, len(environment.arm_names)):
            raise ValueError(f"the world gave rewards of shape {situations.rewards.shape} for {n_decisions} decisions")
        actions = _run(seeded(policy, tree.child("policy")), environment.arm_names, situations, tree, update_every)
        rows = np.arange(n_decisions)
        regret = situations.means.max(axis=1) - situations.means[rows, actions]
        curves.append(tuple(np.cumsum(regret)[points - 1].tolist()))
        rewards.append(float(situations.rewards[rows, actions].mean()))
        counts += np.bincount(actions, minlength=len(counts))
    shares = (counts / counts.sum()).tolist()
    return Simulation(
        policy=type(policy).__name__,
        environment=type(environment).__name__,
        n_decisions=n_decisions,
        update_every=update_every,
        seeds=tuple(seeds),
        decisions=tuple(points.tolist()),
        cumulative_regret=tuple(curves),
        mean_reward=tuple(rewards),
        arm_shares=dict(zip(environment.arm_names, shares, strict=True)),
    )


def _run(
    policy: Policy, arm_names: tuple[str, ...], situations: Situations, tree: SeedTree, update_every: int
) -> Int64:
    """Return the chosen arms, (n,) int64, in the order of `arm_names`."""
    rng = tree.rng("decisions")
    names = policy.arm_names or arm_names
    column = np.array([arm_names.index(name) for name in names])
    policy.start(names, situations.contexts.shape[1])
    n = len(situations.contexts)
    chosen = np.empty(n, np.int64)
    for start in range(0, n, update_every):
        contexts = situations.contexts[start : start + update_every]
        actions, propensities = _decide(policy, contexts, rng)
        rows = np.arange(start, start + len(contexts))
        chosen[rows] = column[actions]
        policy.update(LoggedData(contexts, actions, situations.rewards[rows, chosen[rows]], propensities, names))
    return chosen


def _decide(policy: Policy, contexts: np.ndarray, rng: np.random.Generator) -> tuple[Int64, Float64]:
    """Return actions and propensities, (n,) each; one uniform number is drawn a row either way."""
    if len(contexts) == 1:
        decision = policy.choose(contexts[0], rng)
        return np.array([decision.action]), np.array([decision.propensity])
    chances = policy.probabilities(contexts)
    actions = draw_actions(chances, rng)
    return actions, np.minimum(chances[np.arange(len(actions)), actions], 1.0)
