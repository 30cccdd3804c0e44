"""What chooses an arm for each query, by the name to print: policies, baselines and hindsight; and how fast each is."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bandits import KNN, Bootstrap, Estimate, FullInformationData, LinTS, LinUCB, Policy, Reinforce
from bandits.checks import Float64
from bandits.policies.linear.lin_ts import OFFLINE_SCALE
from bandits.policies.shrunk import shrunk
from paper_parts.stored import Stored
from rewards import Reward, TimeSaved

N_SEEDS = 5
FIXED, DOMAIN, ORACLE, RANDOM = "best fixed arm", "domain oracle", "oracle per query", "random"
LEARNED = ("REINFORCE", "LinUCB", "LinTS", "KNN", "ridge")


def learners(seed: int) -> dict[str, Policy]:
    """Return the policies that learn, by name, unfitted; "ridge" takes the arm of the largest predicted reward."""
    return {
        "REINFORCE": Reinforce(seed=seed),
        "LinUCB": LinUCB(),
        "LinTS": LinTS(posterior_scale=OFFLINE_SCALE),
        "KNN": KNN(),
        "ridge": LinUCB(ucb_width=0.0),
    }


@dataclass(frozen=True)
class Choices:
    """Held-out seconds of everything that chooses, on the same queries.

    Attributes:
        seconds: by name (s, n) float64, a row a seed; one row where nothing is drawn.
        picks: by name, the mean probability of each arm, (k,).
        arms: of the columns.
        choose_ms: by policy, median time of one choice.
    """

    seconds: Mapping[str, Float64]
    picks: Mapping[str, Float64]
    arms: Sequence[str]
    choose_ms: Mapping[str, float]

    def over(self, name: str, other: str) -> Estimate:
        """Return how many times as fast `name` is as `other`, by total seconds."""
        return times_as_fast(self.seconds[name], self.seconds[other])


def times_as_fast(own: Float64, other: Float64) -> Estimate:
    """Return total seconds of `other` over those of `own`, (s, n) each, with an interval over queries and seeds.

    Queries are drawn in pairs, seeds too where there are several.
    """
    n_seeds, n = max(len(own), len(other)), own.shape[1]
    both = [np.stack([other[i % len(other)], own[i % len(own)]], axis=1) for i in range(n_seeds)]
    bootstrap = Bootstrap()
    if n_seeds == 1:
        return bootstrap.ratio_of_sums(both[0][:, 0], both[0][:, 1])
    sums = bootstrap.two_way_sums(both, [np.arange(n)] * n_seeds, n)
    return bootstrap.estimate(sums[:, 0] / sums[:, 1], n)


def choose(train: FullInformationData, test: FullInformationData, encode_s: Float64, seeds: Sequence[int]) -> Choices:
    """Fit every policy on training data for each seed and let it choose on held-out data, beside the baselines.

    Args:
        train: whose rewards are learned from; its costs are seconds.
        test: of the same arms.
        encode_s: (n,) seconds that the context of each held-out query took, which every policy pays.
        seeds: of policies that draw.
    """
    weights = baselines(train, test)
    seconds = {name: (own * test.costs).sum(axis=1)[None] for name, own in weights.items()}
    picks = {name: own.mean(axis=0) for name, own in weights.items()}
    choose_ms: dict[str, float] = {}
    for name in LEARNED:
        rows, taken = [], []
        for seed in seeds if name in ("REINFORCE", "LinTS") else seeds[:1]:
            policy = shrunk(learners(seed)[name], train).fit(train)
            taken.append(choose_s(policy, test))
            rows.append(test.probabilities_of(policy))
        choose_ms[name] = float(np.median(taken)) * 1e3
        seconds[name] = np.array([(own * test.costs).sum(axis=1) for own in rows]) + encode_s + np.median(taken)
        picks[name] = np.mean(rows, axis=(0, 1))
    return Choices(seconds, picks, test.arm_names, choose_ms)


def baselines(train: FullInformationData, test: FullInformationData) -> dict[str, Float64]:
    """Return each baseline's probabilities (n, k): each arm always, what needs no policy, and hindsight."""
    n, k, one_hot = len(test), test.n_arms, np.eye(test.n_arms)
    total = train.costs.sum(axis=0)
    domains = np.array(train.domains)
    best = {domain: int(train.costs[domains == domain].sum(axis=0).argmin()) for domain in set(train.domains or ())}
    return {
        **{arm: np.tile(one_hot[i], (n, 1)) for i, arm in enumerate(test.arm_names)},
        FIXED: np.tile(one_hot[total.argmin()], (n, 1)),
        RANDOM: np.full((n, k), 1 / k),
        DOMAIN: one_hot[[best.get(domain, int(total.argmin())) for domain in test.domains or ()]],
        ORACLE: one_hot[test.costs.argmin(axis=1)],
    }


def choose_s(policy: Policy, data: FullInformationData) -> float:
    """Return the median seconds of one choice."""
    rng, taken = np.random.default_rng(0), []
    for context in data.contexts[:20]:
        begin = time.perf_counter()
        policy.choose(context, rng)
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


@dataclass(frozen=True)
class Asked:
    """What is chosen among, and from which queries.

    Attributes:
        arms: see `Stored.plan`.
        domains: whose queries; None takes all.
        profile: of the machine; the target's main one by default.
        reward: that is learned from.
        test: the held-out side.
    """

    arms: Sequence[str]
    domains: Sequence[str] | None = None
    profile: str | None = None
    reward: Reward | None = None
    test: str = "test"


def choices_of(stored: Stored, asked: Asked, seeds: Sequence[int]) -> Choices:
    """Replay, fit and choose.

    Raises:
        ValueError: if a side holds no query of the domains.
    """
    reward = asked.reward or TimeSaved()
    train, test = (stored.data(side, asked.arms, asked.profile, reward) for side in ("train", asked.test))
    encode_s = stored.encode_s(asked.test)
    if asked.domains is not None:
        kept = [np.flatnonzero(np.isin(side.domains, asked.domains)) for side in (train, test)]
        for name, rows in zip(("train", asked.test), kept, strict=True):
            if not len(rows):
                raise ValueError(f"the {name} side must hold queries of {', '.join(asked.domains)}, got none")
        train, test, encode_s = train.subset(kept[0]), test.subset(kept[1]), encode_s[kept[1]]
    return choose(train, test, encode_s, seeds)
