"""The policies that the demo learns, and which of them it goes with."""

from collections.abc import Mapping
from dataclasses import dataclass

from bandits import KNN, BestFixedArm, FullInformationData, LinTS, LinUCB, Policy, Reinforce, cross_validated
from bandits.evaluation import Evaluation, HeldOutScore
from bandits.policies.linear.lin_ts import OFFLINE_SCALE
from bandits.policies.shrunk import shrunk
from speculative.demo.per_round import PerRound

FIXED = "best fixed arm"


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known before anything is timed.

    Attributes:
        policies: fitted, by name.
        choice: which of them is chosen.
        evaluation: of all on the held-out prompts, by replay, the choice per round among them.
        plain_arm: the best arm of the training prompts that is no rule.
        per_round: a choice at every round, learned from the same texts.
    """

    policies: Mapping[str, Policy]
    choice: "Choice"
    evaluation: Evaluation
    plain_arm: str
    per_round: PerRound


@dataclass(frozen=True, slots=True)
class Choice:
    """The policy that did best on training prompts that it had not seen.

    Attributes:
        name: of the policy.
        scores: by policy, its held-out score on the training prompts.
    """

    name: str
    scores: dict[str, HeldOutScore]


def learn(train: FullInformationData, seed: int) -> dict[str, Policy]:
    """Return fitted policies by name; the linear ones with leave-one-out shrinkage."""
    policies: dict[str, Policy] = {FIXED: BestFixedArm(), **unfitted(seed)}
    return {name: shrunk(policy, train).fit(train) for name, policy in policies.items()}


def unfitted(seed: int) -> dict[str, Policy]:
    """Return the policies that learn, by name, before they have learned."""
    return {
        "LinUCB": LinUCB(),
        "KNN": KNN(),
        "LinTS": LinTS(sampled_share=1.0, posterior_scale=OFFLINE_SCALE),
        "REINFORCE": Reinforce(seed=seed),
    }


def choose_policy(policies: Mapping[str, Policy], train: FullInformationData, seed: int) -> Choice:
    """Return the learned policy that is fastest by total seconds, leaving one training prompt out at a time.

    Args:
        policies: from `learn`.
        train: what they learned from.
        seed: of folds and bootstraps.
    """
    scores = {
        name: cross_validated(policy, train, seed=seed, n_folds=len(train))
        for name, policy in policies.items()
        if name != FIXED
    }
    return Choice(max(scores, key=lambda name: scores[name].conclusion.estimate.value), scores)
