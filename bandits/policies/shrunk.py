"""Linear policies whose shrinkage is chosen from the data that they are about to learn from."""

from __future__ import annotations

from bandits.data.policy_data import PolicyData
from bandits.policies.linear.linear_policy import LinearPolicy
from bandits.policies.linear.prior_precision import FREE, choose_part_precisions, choose_prior_precision
from bandits.policies.parameters import constructor_parameters
from bandits.policies.policy import Policy

_NAME = "prior_precision"


def shrunk(policy: Policy, data: PolicyData) -> Policy:
    """Return an unfitted copy in which every linear policy has the prior precision that suits the data.

    It is the one that `choose_prior_precision` takes, or `choose_part_precisions` where columns stand beside an
    encoder's features and the policy can shrink them less, also inside other policies. One that was given another prior
    precision than its class's default keeps it. `compare`, `cross_validated`, `draftpick train` and `Pool.learn` do
    this before they fit; `fit` alone never does, so that updates in any batches remain one fit.

    Args:
        policy: it is not changed.
        data: the rows that the copy will be fitted to.
    """
    params: dict[str, object] = policy.get_params()
    for name, value in params.items():
        if isinstance(value, Policy):
            params[name] = shrunk(value, data)
    known = constructor_parameters(type(policy)).get(_NAME)
    if isinstance(policy, LinearPolicy) and known is not None and params[_NAME] == known.default:
        choose = choose_part_precisions if policy.shrinks_parts else choose_prior_precision
        params[_NAME] = choose(data, intercept_precision=None if policy.intercept_precision is None else FREE)
    return type(policy)(**params)  # type: ignore[arg-type]  # the policy's own arguments, by name
