"""What a policy that learns as data come would have chosen on each row, and what each choice would have brought."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np

from bandits.checks import Bool, Float64
from bandits.data.array_data import Data
from bandits.data.decision import draw_actions
from bandits.data.full_information_data import FullInformationData
from bandits.data.logged_data import LoggedData
from bandits.policies.hedge import Hedge
from bandits.policies.policy import Policy
from bandits.policies.seeded import seeded
from bandits.policies.wrapped_policy import WrappedPolicy
from bandits.seeds import SeedTree

LearnFrom = Literal["own", "all"]

_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """A policy's choices, row by row in order of time, each from what the rows before had taught it.

    Attributes:
        probabilities: (n, k) float64, in the order of the data's arms.
        frozen: (n - n_first, k) float64, on the later rows, from what the first `n_first` had taught it.
        n_learned: rows that it was shown.
    """

    probabilities: Float64
    frozen: Float64
    n_learned: int


def path_of(policy: Policy, data: Data, n_first: int, update_every: int, learn_from: LearnFrom, tree: SeedTree) -> Path:
    """Let a fresh copy of a policy choose on each row, then learn of it.

    Args:
        policy: is not changed.
        data: in order of time.
        n_first: rows after which the frozen copy learns no more, in [1, n - 1].
        update_every: rows between two updates.
        learn_from: "own": from the rewards of its own choices. On full information that is the drawn arm's. A row of a
            log is shown to it with probability pi(logged arm) / (M propensity), M the largest 1 / propensity: what it
            is shown is then distributed as what it would have chosen itself. "all": from all that the data show.
        tree: of the draws, and of a policy that draws while it learns.

    Source: rejection: Li, Chu, Langford and Wang 2011, Unbiased Offline Evaluation, algorithm 2 (arXiv:1003.5956), for
    uniform logs; Dudik et al. 2012, Sample-efficient Nonstationary Policy Evaluation (arXiv:1210.4862), for others.
    """
    own, rng = seeded(policy, tree.child("policy")), tree.rng("decisions")
    names = own.arm_names or data.arm_names
    columns = [names.index(name) for name in data.arm_names if name in names]
    data = data.with_arms(names)
    own.start(names, data.n_features, data.encoder)
    able, n = arms_there(data), len(data)
    bound = most_weight(data) if isinstance(data, LoggedData) else 1.0
    everything = learn_from == "all" or isinstance(_innermost(own), Hedge)
    lesson = _everything if everything else partial(_own_choices, rng=rng, bound=bound)
    probabilities, frozen, n_learned = np.empty((n, len(names))), np.empty((0, len(names))), 0
    for start, stop in pairwise(sorted({*range(0, n, update_every), n_first, n})):
        if start == n_first:
            frozen = own.probabilities(data.contexts[start:], None if able is None else able[start:])
        part = data.subset(np.arange(start, stop))
        probabilities[start:stop] = own.probabilities(part.contexts, arms_there(part))
        shown = lesson(part, probabilities[start:stop])
        if shown is not None:
            own.update(shown)
            n_learned += len(shown)
    return Path(probabilities[:, columns], frozen[:, columns], n_learned)


def arms_there(data: Data) -> Bool | None:
    """Return (n, k) bool, the arms that could be chosen on each row: available, or observed; None for all."""
    return data.available if isinstance(data, LoggedData) else data.observed


def most_weight(log: LoggedData) -> float:
    """Return the largest 1 / propensity that the log states."""
    least = float(log.propensities.min())
    if log.action_probabilities is not None:
        least = min(least, float(log.action_probabilities[log.action_probabilities > 0].min()))
    return 1.0 / least


def is_uniform(log: LoggedData) -> bool:
    """Return whether every arm that was available was as likely as the others."""
    n_able = np.full(len(log), log.n_arms) if log.available is None else log.available.sum(axis=1)
    return bool(np.abs(log.propensities * n_able - 1).max() <= _TOLERANCE)


def rewards_of_arms(data: Data) -> Float64:
    """Return (n, k) float64, what each arm would have brought on each row of data in order of time.

    On full information the rewards themselves. On a log, without bias whatever was learned of the rows before,

        m(a) + 1{a was taken} (reward - m(a)) / propensity,   m(a) the arm's mean reward on the rows before,

    so that sum_a pi(a) times it is the doubly robust estimate with the model m. Where an arm could not be chosen it
    stands for any other one: the mean of those that could.

    Source: Dudik, Langford and Li 2011, Doubly Robust Policy Evaluation and Learning, equation 2 (arXiv:1103.4601).
    """
    there = arms_there(data)
    rewards = data.rewards if isinstance(data, FullInformationData) else _doubly_robust(data)
    if there is None:
        return rewards
    known = np.where(there, rewards, 0.0)
    return np.where(there, known, (known.sum(axis=1) / there.sum(axis=1))[:, None])


def _doubly_robust(log: LoggedData) -> Float64:
    taken = (np.arange(len(log)), log.actions)
    counts, sums = np.zeros((len(log), log.n_arms)), np.zeros((len(log), log.n_arms))
    counts[taken], sums[taken] = 1.0, log.rewards
    counts, sums = np.cumsum(counts, axis=0) - counts, np.cumsum(sums, axis=0) - sums
    n_before = np.maximum(np.arange(len(log)), 1)[:, None]
    result = np.where(counts > 0, sums / np.maximum(counts, 1.0), sums.sum(axis=1, keepdims=True) / n_before)
    result[taken] += (log.rewards - result[taken]) / log.propensities
    return np.asarray(result)


def _innermost(policy: Policy) -> Policy:
    return policy.policies_inside[-1] if isinstance(policy, WrappedPolicy) else policy


def _everything(part: Data, probabilities: Float64) -> Data:
    return part


def _own_choices(part: Data, probabilities: Float64, *, rng: np.random.Generator, bound: float) -> LoggedData | None:
    """Return what the policy sees of its own choices on these rows; None where that is nothing."""
    rows = np.arange(len(part))
    if isinstance(part, LoggedData):
        chosen = probabilities[rows, part.actions]
        kept = rng.random(len(part)) * bound < chosen / part.propensities
        if not kept.any():
            return None
        own = np.minimum(chosen[kept], 1.0)
        return replace(part.subset(kept), propensities=own, action_probabilities=None, propensities_estimated=False)
    actions = draw_actions(probabilities, rng)
    return LoggedData(
        part.contexts,
        actions,
        part.rewards[rows, actions],
        np.minimum(probabilities[rows, actions], 1.0),
        part.arm_names,
        available=part.observed,
        costs=None if part.costs is None else part.costs[rows, actions],
        encoder=part.encoder,
    )
