"""Policies under the names that a table prints."""

from collections.abc import Collection, Mapping

from bandits.policies.policy import Policy


def named_policies(policies: Policy | Mapping[str, Policy], taken: Collection[str] = ()) -> dict[str, Policy]:
    """Return policies by name; one alone goes by the name of its class.

    Args:
        policies: one, or several by name.
        taken: names of other rows of the table.

    Raises:
        TypeError: if it is neither, or a value is no policy.
        ValueError: if a name is taken.
    """
    named = {type(policies).__name__: policies} if isinstance(policies, Policy) else policies
    if not isinstance(named, Mapping):
        raise TypeError(f"policies must be a Policy or a mapping of names to policies, got {policies!r}")
    for name, policy in named.items():
        if not isinstance(policy, Policy):
            raise TypeError(f"policy {name!r} must be a Policy, got {policy!r}")
        if name in taken:
            raise ValueError(f"policy name {name!r} is that of an arm or of another row of the table: choose another")
    return dict(named)
