"""What policies are ranked by: total seconds where the costs are seconds, else the reward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from bandits.data.array_data import Data
from bandits.data.full_information_data import FullInformationData
from bandits.data.logged_data import LoggedData
from bandits.policies.best_fixed_arm import BestFixedArm
from bandits.policies.policy import Policy

NO_DRAFT = "no_draft"

Objective = Literal["seconds", "reward"]


def objective_of(data: FullInformationData | LoggedData, asked: Objective | None = None) -> Objective:
    """Return what policies are ranked by on these data.

    Args:
        data: rows to be evaluated.
        asked: what the caller asks for; None takes seconds where the data hold costs and an arm `no_draft`, as data on
            drafts do, whose costs are seconds, and the reward elsewhere (costs of other data may be money).

    Raises:
        ValueError: if seconds are asked for and the data hold no costs, or for another objective.
    """
    if asked is None:
        return "seconds" if data.costs is not None and NO_DRAFT in data.arm_names else "reward"
    if asked not in ("seconds", "reward"):
        raise ValueError(f"objective must be 'seconds' or 'reward', got {asked!r}")
    if asked == "seconds" and data.costs is None:
        raise ValueError("objective 'seconds' needs data that hold costs (seconds): pass objective='reward'")
    return asked


def best_fixed_arm(data: FullInformationData | LoggedData, objective: Objective | None = None) -> str:
    """Return the arm that is best on these data whatever the context (the first of equals).

    Args:
        data: training data.
        objective: as in `objective_of`; with "seconds" the arm of least seconds on the rows that observe it, with
            "reward" that of the highest mean reward.
    """
    policy = fixed_policy(data, objective_of(data, objective))
    return policy.arm_names[int(np.argmax(policy.mean_rewards()))]


def fixed_policy(data: FullInformationData | LoggedData, objective: Objective) -> BestFixedArm:
    """Return `BestFixedArm` fitted to the objective: with "seconds", the fewer the better."""
    return BestFixedArm().fit(ranked(data, objective))


def ranked(data: Data, objective: Objective) -> Data:
    """Return the data whose rewards are what the objective ranks by: with "seconds", the costs below zero."""
    return data if objective == "reward" or data.costs is None else replace(data, rewards=-data.costs)


def net_of_costs(data: Data, cost_weight: float | None) -> Data:
    """Return the data whose rewards are net of the price; costs stay beside them.

    Raises:
        ValueError: if the data hold no costs.
    """
    if cost_weight is None:
        return data
    if data.costs is None:
        raise ValueError(f"cost_weight {cost_weight:g} needs costs, and the data hold none: give each row its cost")
    return replace(data, rewards=data.rewards - cost_weight * data.costs)


def learned(policies: Mapping[str, Policy]) -> list[str]:
    """Return the names of the policies that are no fixed arm themselves (all, where there are no others)."""
    return [name for name, policy in policies.items() if not isinstance(policy, BestFixedArm)] or list(policies)


def notes_on_costs(*data: FullInformationData | LoggedData | None) -> tuple[str, ...]:
    """Return a warning if the costs, and rewards made of them, come from more than one cost profile."""
    found = dict.fromkeys(
        profile for one in data if isinstance(one, FullInformationData) for profile in one.cost_profiles
    )
    if len(found) < 2:
        return ()
    return (
        f"WARNING: the costs were priced by {len(found)} cost profiles ({', '.join(found)}): seconds, speeds and "
        "rewards made of them are not on one scale; price all data with one profile (draftpick collect --recost)",
    )


def notes_on_propensities(data: FullInformationData | LoggedData) -> tuple[str, ...]:
    """Return a warning if the propensities of a log were estimated."""
    if not (isinstance(data, LoggedData) and data.propensities_estimated):
        return ()
    return ("the log's propensities were estimated, not recorded: all values rest on that estimate",)
