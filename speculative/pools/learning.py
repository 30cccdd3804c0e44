"""Which policy to use on collected data, and what it brings."""

from dataclasses import replace

from bandits import (
    KNN,
    BestFixedArm,
    FullInformationData,
    LinTS,
    LinUCB,
    Policy,
    cross_validated,
)
from bandits.policies.linear.lin_ts import OFFLINE_SCALE
from bandits.policies.shrunk import shrunk

N_NEIGHBORS = 10


def choose_policy(data: FullInformationData, seed: int = 0) -> tuple[Policy, str]:
    """Return the policy that is best on held-out queries, fitted to all, and one sentence on what it brings.

    Each candidate is scored by 10-fold cross-validation against the arm that is best on its training folds, by total
    seconds. If the interval of the best one does not lie above 1, that arm is what to use: `BestFixedArm`.

    Args:
        data: what every arm brings on every query; costs are seconds, rewards what policies learn from.
        seed: of folds, bootstrap and what is random in a policy.

    Raises:
        ValueError: if there are fewer than two queries.
    """
    candidates: list[Policy] = [
        LinUCB(),
        LinTS(sampled_share=1.0, posterior_scale=OFFLINE_SCALE),
        KNN(n_neighbors=min(N_NEIGHBORS, max(1, len(data) // 2))),
    ]
    scores = [cross_validated(policy, data, seed=seed) for policy in candidates]
    best = max(range(len(candidates)), key=lambda i: scores[i].conclusion.estimate.value)
    conclusion = replace(scores[best].conclusion, n_policies=len(candidates))
    policy = candidates[best] if conclusion.gains else BestFixedArm()
    return shrunk(policy, data).fit(data), f"On {scores[best].n_queries} held-out prompts, {conclusion}"
