"""A policy whose random streams are a seed tree's own."""

from bandits.policies.policy import Policy
from bandits.seeds import SeedTree


def seeded(policy: Policy, tree: SeedTree) -> Policy:
    """Return an unfitted copy in which every parameter named `seed`, also of inner policies, is the tree's own."""
    params: dict[str, object] = {}
    for key, value in policy.get_params().items():
        if isinstance(value, Policy):
            params[key] = seeded(value, tree.child(key))
        elif key == "seed":
            params[key] = tree.integer("seed")
        else:
            params[key] = value
    return type(policy)(**params)  # type: ignore[arg-type]  # the policy's own arguments, by name
