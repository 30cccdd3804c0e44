"""What several replicas of a policy learned, each from rows of its own, as one policy."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.policy import Policy
from bandits.policies.wrapped_policy import WrappedPolicy


def merge(policies: Iterable[Policy], *, since: Policy | None = None) -> Policy:
    """Return the policy that one replica would be, had it seen the rows of all.

    A policy whose state is a sum over rows (`AdditivePolicy`: the linear ones, with their sums of x x' and x r, `UCB1`,
    `BestFixedArm`), alone or below one that explores around it, merges exactly, up to rounding:

        merged = since + sum over replicas of (replica - since)

    Args:
        policies: at least one, of one class, parameters, arms, context size and encoder; none is changed.
        since: the policy that all of them began with, whose rows would be counted once for each otherwise; None where
            each began with no rows.

    Raises:
        ValueError: if there is none, they differ, or what they learn is no sum over rows; the message says which.
        RuntimeError: if one has learned nothing yet.
    """
    replicas = list(policies)
    if not replicas:
        raise ValueError("merge needs at least one policy, got none")
    merged = copy.deepcopy(replicas[0])
    sums, common = _sums(merged), None if since is None else _sums(since, merged)
    if common is not None:
        sums.check_alike(common)
    for replica in replicas[1:]:
        sums.merge(_sums(replica, merged), since=common)
    return merged


def _sums(policy: Policy, first: Policy | None = None) -> AdditivePolicy:
    """Return the policy that holds the sums: this one, or the one below those that explore around it."""
    learner = policy.policies_inside[-1] if isinstance(policy, WrappedPolicy) else policy
    if not isinstance(learner, AdditivePolicy):
        raise ValueError(
            f"{type(learner).__name__} cannot be merged: what it learns is no sum over rows, see AdditivePolicy; "
            "fit one policy to the rows of all replicas"
        )
    if not policy.exact_updates:
        raise ValueError(
            f"{policy!r} cannot be merged: what it has forgotten depends on the order of the rows; fit one policy to "
            "the rows of all replicas, in order"
        )
    if first is not None and _exploration(policy) != _exploration(first):
        raise ValueError(f"merge needs policies of one class with the same parameters, got {first!r} and {policy!r}")
    return learner


def _exploration(policy: Policy) -> list[tuple[type[Policy], dict[str, object]]]:
    """Return classes and parameters of the policies around the one that learns."""
    if not isinstance(policy, WrappedPolicy):
        return []
    params = {name: value for name, value in policy.get_params().items() if not isinstance(value, Policy)}
    return [(type(policy), params), *_exploration(policy.policy)]
