"""LinUCB and LinTS by their defaults, beside other libraries' tuned to each environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from bandit_bench.learners import ContextualBandits, MABWiser
from bandit_bench.peers import Peer, installed
from bandit_bench.quality import interval

from bandits import LinTS, LinUCB, Policy, SeedTree, simulate
from bandits.checks import Float64
from bandits.simulation.environments import Environment, EnvironmentBatch, LinearEnvironment

WIDTHS = (0.1, 0.25, 0.5, 1.0, 2.0)
TUNING_SEEDS = range(1000, 1005)
MARGIN = 1.1  # of a tuned peer's regret, which ours may have

Row = dict[str, object]


class ShiftedEnvironment(LinearEnvironment):
    """`LinearEnvironment` with rewards that lie away from zero, as scores of answers do."""

    def draw(self, n_decisions: int, rng: np.random.Generator) -> EnvironmentBatch:
        """Draw as the environment without a shift does, and add 0.9."""
        batch = super().draw(n_decisions, rng)
        return EnvironmentBatch(batch.contexts, batch.rewards + 0.9, batch.means + 0.9)


@dataclass(frozen=True, slots=True)
class Setting:
    """An environment, and how many decisions lie between two updates."""

    environment: Environment
    update_every: int = 10


SETTINGS: Mapping[str, Setting] = {
    "4 arms, 10 features, noise 0.5": Setting(LinearEnvironment()),
    "10 arms, 20 features, noise 1": Setting(LinearEnvironment(10, n_features=20, noise=1.0)),
    "4 arms, 10 features, noise 0.1": Setting(LinearEnvironment(noise=0.1)),
    "the first, rewards + 0.9": Setting(ShiftedEnvironment()),
    "the first, learning after each decision": Setting(LinearEnvironment(), update_every=1),
}
OURS = {"LinUCB": LinUCB, "LinTS": LinTS}


def peers_of(rule: str) -> dict[str, Peer]:
    """Return every setting of every library, by name."""
    found = {f"MABWiser {rule}({w:g})": Peer("mabwiser", partial(MABWiser, rule, alpha=w)) for w in WIDTHS}
    for width, intercept in product(WIDTHS, (False, True)):
        settings = {"fit_intercept": intercept, **({"alpha": width} if rule == "LinUCB" else {"v_sq": width**2})}
        name = f"contextualbandits {rule}({width:g}{', intercept' if intercept else ''})"
        found[name] = Peer("contextualbandits", partial(ContextualBandits, rule, settings))
    return installed(found)


def beside_peers(name: str, setting: Setting, rule: str, n_decisions: int, seeds: Sequence[int]) -> dict[str, object]:
    """Return ours beside the peer that is best in this environment."""
    ours = own_regrets(OURS[rule](), setting, n_decisions, seeds)
    row: dict[str, object] = {"environment": name, "rule": rule, "ours": interval(ours), "worst": float(ours.max())}
    tuning = {peer: regrets(make, setting, n_decisions, TUNING_SEEDS).mean() for peer, make in peers_of(rule).items()}
    if not tuning:
        return row | {"peer": None}
    best = min(tuning, key=lambda peer: tuning[peer])
    theirs = regrets(peers_of(rule)[best], setting, n_decisions, seeds)
    return row | {
        "peer": best,
        "theirs": interval(theirs),
        "worst_of_theirs": float(theirs.max()),
        "ratio": float(ours.mean() / theirs.mean()),
        "difference": interval(ours - theirs),
    }


def on_other_seeds(peers: Sequence[Mapping[str, object]], n_decisions: int, seeds: Sequence[int]) -> list[Row]:
    """Return LinTS and Thompson sampling on runs that its defaults were not chosen by, beside the peers of `peers`."""
    found: list[Row] = []
    for row in peers:
        if row["rule"] != "LinTS":
            continue
        setting, peer = SETTINGS[str(row["environment"])], row["peer"]
        ours, textbook = (
            own_regrets(policy, setting, n_decisions, seeds) for policy in (LinTS(), LinTS(sampled_share=1.0))
        )
        own: Row = {
            "environment": row["environment"],
            "peer": peer,
            "ours": interval(ours),
            "textbook": interval(textbook),
        }
        if isinstance(peer, str) and peer in peers_of("LinTS"):
            theirs = regrets(peers_of("LinTS")[peer], setting, n_decisions, seeds)
            own |= {"theirs": interval(theirs), "ratio": float(ours.mean() / theirs.mean())}
        found.append(own)
    return found


def own_regrets(policy: Policy, setting: Setting, n_decisions: int, seeds: Sequence[int]) -> Float64:
    """Return the regret of one of our policies in each run, (s,) float64."""
    simulation = simulate(policy, setting.environment, n_decisions, seeds, update_every=setting.update_every)
    return np.array(simulation.rows[0].cumulative_regret)[:, -1]


def regrets(peer: Peer, setting: Setting, n_decisions: int, seeds: Sequence[int]) -> Float64:
    """Return a peer's regret in each run, (s,) float64; the first batch is drawn uniformly, as it knows nothing."""
    found = []
    for seed in seeds:
        tree = SeedTree(seed)
        batch = setting.environment.draw(n_decisions, tree.rng("environment"))
        n_arms, rows = batch.rewards.shape[1], np.arange(n_decisions)
        learner = peer.make(batch.contexts.shape[1], n_arms, seed)
        contexts, chosen = batch.contexts.astype(learner.dtype), np.empty(n_decisions, np.int64)
        for start in range(0, n_decisions, setting.update_every):
            part = slice(start, start + setting.update_every)
            if start < 10:
                chosen[part] = tree.rng(f"first {start}").integers(n_arms, size=len(rows[part]))
            else:
                chosen[part] = learner.choose_many(contexts[part])
            learner.learn_many(contexts[part], chosen[part], batch.rewards[rows[part], chosen[part]])
        found.append(float((batch.means.max(axis=1) - batch.means[rows, chosen]).sum()))
    return np.array(found)


def bar_of(row: Mapping[str, object]) -> dict[str, object]:
    """Return whether ours loses at most a tenth more than the tuned peer."""
    return {
        "name": f"{row['environment']}: {row['rule']} over {row['peer']}",
        "value": row["ratio"],
        "bar": MARGIN,
        "at_most": True,
        "holds": float(row["ratio"]) <= MARGIN,  # type: ignore[arg-type]  # a number, as just made
    }
