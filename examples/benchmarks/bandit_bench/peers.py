"""The other libraries' bandits that the benchmark compares with, and which of them are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bandit_bench.learners import (
    BayesianBandits,
    Coba,
    ContextualBandits,
    Learner,
    MABWiser,
    MABWiserApart,
    ParetoBandit,
    River,
    VowpalWabbit,
)

Make = Callable[[int, int, int], Learner]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another library's bandit, as the benchmark lists it.

    Attributes:
        package: on the package index.
        make: from (n_features, n_arms, seed).
        in_batches: whether it fits and predicts arrays; else one row after another.
        same_ridge: whether it keeps the same posterior as ours, so that its learning may be compared.
        same_choice: whether it also chooses by the same rule.
    """

    package: str
    make: Make
    in_batches: bool = True
    same_ridge: bool = True
    same_choice: bool = True


_contextual = partial(Peer, "contextualbandits")
_bayesian = partial(Peer, "bayesianbandits")

UCB_PEERS: dict[str, Peer] = {
    "MABWiser LinUCB": Peer("mabwiser", partial(MABWiser, "LinUCB")),
    "contextualbandits LinUCB": _contextual(partial(ContextualBandits, "LinUCB", {})),
    "contextualbandits LinUCB, chol": _contextual(partial(ContextualBandits, "LinUCB", {"method": "chol"})),
    "contextualbandits LinUCB, float64": _contextual(partial(ContextualBandits, "LinUCB", {"use_float": False})),
    "bayesianbandits UCB": _bayesian(partial(BayesianBandits, "UCB", "NormalRegressor"), same_choice=False),
    "ParetoBandit LinUCB": Peer("paretobandit", ParetoBandit, in_batches=False),
    "river LinUCBDisjoint": Peer("river", River, in_batches=False, same_choice=False),
    "coba LinUCB": Peer("coba", Coba, in_batches=False),
    "VW epsilon-greedy": Peer("vowpalwabbit", VowpalWabbit, in_batches=False, same_ridge=False, same_choice=False),
}

TS_PEERS: dict[str, Peer] = {
    "MABWiser LinTS": Peer("mabwiser", partial(MABWiser, "LinTS")),
    "contextualbandits LinTS": _contextual(partial(ContextualBandits, "LinTS", {"method": "chol"})),
    "contextualbandits LinTS, ci": _contextual(
        partial(ContextualBandits, "LinTS", {"method": "chol", "sample_from": "ci"})
    ),
    "bayesianbandits TS": _bayesian(partial(BayesianBandits, "TS", "NormalRegressor")),
    "bayesianbandits TS, learned noise": _bayesian(partial(BayesianBandits, "TS", "NormalInverseGammaRegressor")),
}


CHECKS: dict[str, Peer] = {"noise apart: MABWiser LinTS": Peer("mabwiser", partial(MABWiserApart, "LinTS"))}


def missing_packages() -> list[str]:
    """Return the packages of peers that are not installed."""
    modules = {"paretobandit": "pareto_bandit"}
    packages = dict.fromkeys(peer.package for peer in (UCB_PEERS | TS_PEERS).values())
    return [name for name in packages if importlib.util.find_spec(modules.get(name, name)) is None]


def installed(peers: dict[str, Peer]) -> dict[str, Peer]:
    """Return the peers whose package is there."""
    missing = missing_packages()
    return {name: peer for name, peer in peers.items() if peer.package not in missing}
