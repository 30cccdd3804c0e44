"""The labels that a policy may learn from: the paper's reward, and every reward of the library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arms import Observation
from bandits import KNN, Estimate, FullInformationData, Reinforce
from bandits.checks import Float64
from paper_parts.choosing import times_as_fast
from paper_parts.stored import Stored
from paper_parts.targets import NO_DRAFT
from rewards import REWARDS, Reward, RougeL, WeightedAverage
from rewards.named import make_reward


class DraftSpeed(Reward):
    """The speed of a draft's own writing as a share of the fastest one's; where nothing drafts, the target's.

    Args:
        speeds: by arm, tokens a second.
    """

    bounds = (0.0, 1.0)

    def __init__(self, speeds: Mapping[str, float]) -> None:
        fastest = max(speeds.values())
        self.speeds = {arm: speed / fastest for arm, speed in speeds.items()}

    @classmethod
    def of(cls, stored: Stored, profile: str) -> "DraftSpeed":
        """Return the reward that a machine's cost profile tells."""
        costs, speeds = stored.profiles[profile], {}
        for arm in stored.target.writers:
            draft = stored.plan(arm).drafts[0][0]
            speeds[arm] = 1 / (costs.verify_s(1, 128) if draft == NO_DRAFT else costs.drafts[draft].token_s)
        return cls(speeds)

    def _value(self, observation: Observation) -> float:
        if observation.arm not in self.speeds:
            raise self.unfit(observation, f"its arm must be one of {', '.join(self.speeds)}")
        return self.speeds[observation.arm]


def paper_reward(weight: float, speed: DraftSpeed) -> Reward:
    """Return weight * text agreement + (1 - weight) * the draft's own speed.

    Raises:
        ValueError: if the weight is outside [0, 1].

    Source: Huang et al. 2024 (arXiv:2408.08470), the reward as reviews of the paper print it.
    """
    return WeightedAverage(weight, RougeL(), speed)


def all_labels(train: FullInformationData, speed: DraftSpeed) -> dict[str, Reward]:
    """Return each label by name: the paper's reward at three weights, and every reward that can value these data.

    Rewards that ask for what was not collected, or for a package that is not installed, are left out.

    Args:
        train: what rewards that are fitted are fitted on.
        speed: of the drafts.
    """
    found: dict[str, Reward] = {}
    observations = list(train.known_observations())
    for name in REWARDS:
        try:
            reward = make_reward(name, observations)
            train.with_reward(reward)
        except (ValueError, ImportError):
            continue
        found[name] = reward
    return found | {f"paper's, weight {weight:g}": paper_reward(weight, speed) for weight in (0.25, 0.5, 0.75)}


def labelled_sides(stored: Stored, profile: str) -> tuple[FullInformationData, FullInformationData]:
    """Return both sides' data of the arms whose draft writes alone, of the queries for which all of them did.

    A look-up or a head writes no text of its own, so that the paper's label does not know it.

    Raises:
        ValueError: if there is no such query.
    """
    train, test = (_labelled(stored, side, profile) for side in ("train", "test"))
    return train, test


def _labelled(stored: Stored, side: str, profile: str) -> FullInformationData:
    data = stored.data(side, stored.target.writers, profile)
    rows = data.observations or ()
    kept = [i for i, row in enumerate(rows) if all(one is not None and one.own_text is not None for one in row)]
    if not kept:
        writers = ", ".join(stored.target.writers)
        raise ValueError(
            f"the {side} side must hold queries that the drafts of all of {writers} answered alone, got none: "
            "make_traces.py lets them"
        )
    return data.subset(np.array(kept, dtype=np.int64))


@dataclass(frozen=True)
class Learned:
    """Who has learned from a label, and who takes the arm of the largest held-out label ("label itself").

    Attributes:
        picks: by name (s, n, k), the probability of each arm; a seed each where something is drawn.
        speeds: by name, times as fast as no draft by total replayed seconds; the choice's own time is not in them.
    """

    picks: Mapping[str, Float64]
    speeds: Mapping[str, Estimate]


def learned_from(train: FullInformationData, test: FullInformationData, seeds: Sequence[int]) -> Learned:
    """Learn from the rewards of one side, and choose on the other."""
    picks = {
        "REINFORCE": np.array([test.probabilities_of(Reinforce(seed=seed).fit(train)) for seed in seeds]),
        "KNN": test.probabilities_of(KNN().fit(train))[None],
        "label itself": _largest(test.rewards)[None],
    }
    plain = test.costs[:, test.arm_names.index(NO_DRAFT)][None]
    return Learned(picks, {name: times_as_fast((own * test.costs).sum(axis=2), plain) for name, own in picks.items()})


def _largest(labels: Float64) -> Float64:
    """Return the probabilities (n, k) of whoever takes the arm of the largest label, shared where several are."""
    best = labels >= labels.max(axis=1, keepdims=True)
    shares: Float64 = best / best.sum(axis=1, keepdims=True)
    return shares
