"""What each ingredient of a learned choice brings: every policy with one of them taken away or exchanged."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

from bandits import FullInformationData, Policy
from bandits.policies.shrunk import shrunk
from choice_bench.candidates import costs_of, policy_candidates
from choice_bench.figures import times_as_fast
from choice_bench.sides import Sides
from rewards import Speedup
from speculative.demo.learning import unfitted

Fit = Callable[[Policy, FullInformationData], Policy]
AS_IT_IS = "as it is"


def with_shrinkage(policy: Policy, train: FullInformationData) -> Policy:
    """Fit with the prior precision of least leave-one-out error, where the policy has one."""
    return shrunk(policy, train).fit(train)


def without_shrinkage(policy: Policy, train: FullInformationData) -> Policy:
    """Fit with the policy's own settings."""
    return policy.fit(train)


def ablation(sides: Sides, fixed_arm: str, seed: int) -> list[dict[str, object]]:
    """Return a row a variant: every policy's speed over the best fixed arm, fitted and scored without an ingredient.

    Args:
        sides: training and held-out data.
        fixed_arm: what every variant is compared with.
        seed: of policies and bootstraps.
    """
    costs = costs_of(sides.test)
    fixed = costs[:, sides.test.arm_names.index(fixed_arm)]
    rows: list[dict[str, object]] = []
    for name, (own, fit) in variants(sides).items():
        fitted = fit_all(own.train, fit, seed)
        figures = {
            one.name: asdict(times_as_fast(one.seconds(costs_of(own.test)), fixed, seed))
            for one in policy_candidates(fitted, own.test, seed)
        }
        rows.append({"variant": name, "policies": figures})
    return rows


def variants(sides: Sides) -> dict[str, tuple[Sides, Fit]]:
    """Return what is learned from, and how, for each variant."""
    mean_speedup = replace(sides, train=sides.train.with_reward(Speedup()))
    found: dict[str, tuple[Sides, Fit]] = {
        AS_IT_IS: (sides, with_shrinkage),
        "no shrinkage": (sides, without_shrinkage),
        "mean speedup instead of time saved": (mean_speedup, with_shrinkage),
    }
    found["every column of the contexts standardised"] = (sides.standardised(), with_shrinkage)
    if sides.rules:
        found["no rules among the arms"] = (sides.with_arms(sides.fixed_arms), with_shrinkage)
    for part, columns in sides.groups.items():
        found[f"contexts of the {part} alone"] = (sides.with_columns(columns), with_shrinkage)
    return found


def fit_all(train: FullInformationData, fit: Fit, seed: int) -> Mapping[str, Policy]:
    """Return the learned policies of the demo, fitted."""
    return {name: fit(policy, train) for name, policy in unfitted(seed).items()}
