"""What chooses among a pool's arms: each arm, policies, the best arm of each domain, and the oracle."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bandits import FullInformationData, Policy
from bandits.checks import Float64
from choice_bench.sides import Sides
from speculative.collection.priced_folder import stored_costs
from speculative.collection.trace_store import TRACES, read_trace_parts
from speculative.rounds.clairvoyant import clairvoyant_s

Kind = Literal["arm", "rule", "policy", "oracle"]
DOMAINS, ORACLE, CLAIRVOYANT = "best arm of the domain", "oracle per query", "clairvoyant per round"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that chooses an arm for each held-out query.

    Attributes:
        name: as printed.
        kind: what it is.
        weights: (n, k) float64, the probability of each arm on each query.
        choose_s: median seconds of one choice; 0 where there is nothing to compute.
    """

    name: str
    kind: Kind
    weights: Float64
    choose_s: float = 0.0

    def seconds(self, costs: Float64) -> Float64:
        """Return expected seconds (n,) of arms that take `costs` (n, k)."""
        spent: Float64 = (self.weights * costs).sum(axis=1) + self.choose_s
        return spent


def arm_candidates(sides: Sides) -> list[Candidate]:
    """Return each arm, always."""
    one_hot, names = np.eye(sides.test.n_arms), sides.test.arm_names
    kinds: list[Kind] = ["rule" if name in sides.rules else "arm" for name in names]
    return [
        Candidate(name, kind, np.tile(one_hot[arm], (len(sides.test), 1)))
        for arm, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]


def policy_candidates(policies: Mapping[str, Policy], test: FullInformationData, seed: int) -> list[Candidate]:
    """Return fitted policies, with what a choice of theirs takes."""
    return [
        Candidate(name, "policy", test.probabilities_of(policy), _choose_s(policy, test, seed))
        for name, policy in policies.items()
    ]


def _choose_s(policy: Policy, test: FullInformationData, seed: int) -> float:
    rng, taken = np.random.default_rng(seed), []
    for context in test.contexts[:50]:
        begin = time.perf_counter()
        policy.choose(context, rng)
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


def domain_look_up(sides: Sides) -> Candidate:
    """Return the choice of whoever is told each prompt's domain: the arm of least training seconds in it."""
    seconds, test = costs_of(sides.train), sides.test
    domains = np.array(sides.train.domains or [""] * len(sides.train))
    best = {domain: seconds[domains == domain].sum(axis=0).argmin() for domain in dict.fromkeys(domains.tolist())}
    overall = seconds.sum(axis=0).argmin()
    chosen = [best.get(domain, overall) for domain in test.domains or [""] * len(test)]
    return Candidate(DOMAINS, "policy", np.eye(test.n_arms)[chosen])


def oracle(test: FullInformationData) -> Candidate:
    """Return the choice that knows each query's seconds."""
    return Candidate(ORACLE, "oracle", np.eye(test.n_arms)[costs_of(test).argmin(axis=1)])


def clairvoyant_seconds(sides: Sides) -> Float64:
    """Return the least seconds (n,) of any choice per round among the pool's fixed arms, known in hindsight."""
    costs = stored_costs(sides.test_folder)
    assert costs is not None  # the data were read from there
    traces = {t.query_id: t for part in read_trace_parts(sides.test_folder / TRACES) for t in part}
    plans = [sides.plans[name] for name in sides.fixed_arms]
    return np.array([clairvoyant_s(plans, traces[str(query)], costs) for query in sides.test.query_ids or ()])


def costs_of(data: FullInformationData) -> Float64:
    """Return the seconds, (n, k) float64.

    Raises:
        ValueError: if the data hold none.
    """
    if data.costs is None:
        raise ValueError("the data must hold seconds, and these hold none: collect them with draftpick collect")
    return data.costs
