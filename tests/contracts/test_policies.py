"""Every policy keeps the contract, and the contract catches policies that do not."""

import numpy as np
import pytest

from bandits import (
    KNN,
    UCB1,
    BestFixedArm,
    EpsilonGreedy,
    FullInformationData,
    HybridLinUCB,
    LinTS,
    LinUCB,
    Policy,
    PolicyState,
    Reinforce,
    Softmax,
    SquareCB,
    Uniform,
)
from bandits.policies import AdamWSettings
from bandits.policies.policy import greedy, uniform_over
from bandits.testing.policies import check_policy, example_data, example_log

FEATURES = {"arm_a": (1.0, 0.0), "arm_b": (0.0, 1.0), "arm_c": (0.0, -1.0), "a new arm": (1.0, 0.0)}
SHORT = AdamWSettings(max_epochs=3, batch_size=16)

POLICIES = {
    "Uniform": Uniform,
    "BestFixedArm": BestFixedArm,
    "LinUCB": LinUCB,
    "LinUCB without intercept": lambda: LinUCB(ucb_width=0.3, prior_precision=2.0, intercept_precision=None),
    "LinTS": LinTS,
    "LinTS with known noise": lambda: LinTS(noise_scale=0.3),
    "EpsilonGreedy": lambda: EpsilonGreedy(LinUCB(ucb_width=0.0), epsilon=0.2),
    "UCB1": UCB1,
    "SquareCB": SquareCB,
    "SquareCB of fixed sharpness": lambda: SquareCB(sharpness=3.0, growth=0.0),
    "HybridLinUCB": HybridLinUCB,
    "HybridLinUCB with arm features": lambda: HybridLinUCB(FEATURES, ucb_width=0.3, shared_precision=0.2),
    "KNN": lambda: KNN(n_neighbors=3),
    "Softmax of ridge": lambda: Softmax(LinUCB(), temperature=0.3),
    "Softmax of means": lambda: Softmax(BestFixedArm()),
    "Softmax of neighbours": lambda: Softmax(KNN(n_neighbors=5)),
    "Softmax of UCB1": lambda: Softmax(UCB1()),
    "Softmax of a shared model": lambda: EpsilonGreedy(Softmax(HybridLinUCB()), epsilon=0.05),
    "EpsilonGreedy twice": lambda: EpsilonGreedy(EpsilonGreedy(BestFixedArm(), epsilon=0.1), epsilon=0.2),
    "Reinforce": lambda: Reinforce(training=SHORT),
    "Reinforce without early stopping": lambda: Reinforce(
        hidden_size=8, weight_clip=None, seed=3, training=AdamWSettings(max_epochs=2, held_out_share=0.0)
    ),
}


@pytest.mark.parametrize("make_policy", POLICIES.values(), ids=POLICIES.keys())
def test_policy_keeps_the_contract(make_policy):
    check_policy(make_policy)


def test_exact_reinforce_keeps_the_contract_on_full_information():
    check_policy(lambda: Reinforce("exact", training=SHORT), example_data())


@pytest.mark.parametrize("make_policy", [LinUCB, LinTS, BestFixedArm, UCB1, SquareCB, KNN, HybridLinUCB])
def test_policy_keeps_the_contract_on_ragged_data(make_policy):
    full = example_data(n_arms=4)
    observed = np.random.default_rng(0).random(full.rewards.shape) < 0.6
    observed[:, 1] = True
    ragged = FullInformationData(full.contexts, full.rewards, full.arm_names, observed=observed)
    check_policy(make_policy, ragged)


class Sums(Policy):
    """A right policy, which the broken ones below each spoil in one way."""

    exact_updates = True

    def initial_state(self, arm_names, n_features):
        k = len(arm_names)
        return PolicyState(arm_names, n_features, {"sums": np.zeros(k), "counts": np.zeros(k)})

    def update(self, data):
        full = self.align(data)
        if not isinstance(full, FullInformationData):
            np.add.at(self.state.per_arm["sums"], full.actions, full.rewards)
            np.add.at(self.state.per_arm["counts"], full.actions, 1.0)
            return
        self.state.per_arm["sums"] += np.where(full.observed_mask, full.rewards, 0.0).sum(axis=0)
        self.state.per_arm["counts"] += full.observed_mask.sum(axis=0)

    def probabilities(self, contexts, available=None):
        rows, mask = self.check(contexts, available)
        means = self.state.per_arm["sums"] / np.maximum(self.state.per_arm["counts"], 1.0)
        return greedy(np.broadcast_to(means, (len(rows), len(means))), mask)


class NotADistribution(Sums):
    def probabilities(self, contexts, available=None):
        return super().probabilities(contexts, available) * 0.9


class ForgetsTheMask(Sums):
    def probabilities(self, contexts, available=None):
        return super().probabilities(contexts, None)


class ScramblesBatches(Sums):
    def probabilities(self, contexts, available=None):
        rows, mask = self.check(contexts, available)
        scores = rows @ np.outer(np.ones(rows.shape[1]), np.arange(1, len(self.arm_names) + 1))
        return greedy(scores.reshape(-1, order="F").reshape(scores.shape).astype(float), mask)


class UsesTheGlobalGenerator(Sums):
    def update(self, data):
        np.random.random()  # noqa: NPY002
        super().update(data)


class DiffersFromFitToFit(Sums):
    count = 0

    def probabilities(self, contexts, available=None):
        rows, mask = self.check(contexts, available)
        type(self).count += 1
        scores = np.full((len(rows), len(self.arm_names)), 0.0)
        scores[:, type(self).count % len(self.arm_names)] = 1.0
        return greedy(scores, mask)


class ChangesContexts(Sums):
    def probabilities(self, contexts, available=None):
        chances = super().probabilities(contexts, available)
        if contexts.flags.writeable:
            contexts *= 2
        return chances


class RemembersAcrossFits(Sums):
    def start(self, arm_names, n_features, encoder=None):
        if self.state is None:
            super().start(arm_names, n_features, encoder)


class KeepsOnlyTheLastBatch(Sums):
    def update(self, data):
        self.state = None
        super().update(data)


class PrefersTheFirstColumn(Sums):
    def probabilities(self, contexts, available=None):
        rows, mask = self.check(contexts, available)
        k = len(self.arm_names)
        return greedy(np.broadcast_to(np.arange(k, 0, -1.0), (len(rows), k)), mask)


class MatchesByPosition(Sums):
    def align(self, data):
        if self.state is None:
            return super().align(data)
        return data


class LosesStateWhenSaved(Sums):
    def __init__(self, arm_names=None):
        super().__init__(arm_names)
        self.n_seen = 0

    def update(self, data):
        super().update(data)
        self.n_seen += len(data)

    def probabilities(self, contexts, available=None):
        chances = super().probabilities(contexts, available)
        return chances if self.n_seen else uniform_over(chances >= 0)


class HidesItsParameter(Sums):
    def __init__(self, width=1.0, arm_names=None):
        super().__init__(arm_names)
        self.width = 1.0
        self._width = width

    def probabilities(self, contexts, available=None):
        chances = super().probabilities(contexts, available)
        if self._width == 1.0:
            return chances
        mask = np.ones(chances.shape, bool) if available is None else self.mask(available, len(chances))
        return 0.5 * chances + 0.5 * uniform_over(mask)


class AcceptsNaN(Sums):
    def check(self, contexts, available):
        return super().check(np.nan_to_num(contexts), available)


class StartsWithAFavourite(Sums):
    def probabilities(self, contexts, available=None):
        chances = super().probabilities(contexts, available)
        if self.state.per_arm["counts"].any():
            return chances
        scores = np.zeros(chances.shape)
        scores[:, self.arm_names.index(min(self.arm_names))] = 1.0
        return greedy(scores, available)


class ChoosesByItself(Sums):
    def choose(self, context, rng, available=None):
        decision = super().choose(context, rng, available)
        return type(decision)(decision.arm, decision.action, 0.5, decision.probabilities)


BROKEN = {
    NotADistribution: "sum to 1",
    ForgetsTheMask: "not available",
    ScramblesBatches: "must not depend on other rows",
    UsesTheGlobalGenerator: "global generator",
    DiffersFromFitToFit: "same|depend",
    ChangesContexts: "must not be changed|must not depend|must not change",
    RemembersAcrossFits: "forget",
    KeepsOnlyTheLastBatch: "batches",
    PrefersTheFirstColumn: "permutation",
    MatchesByPosition: "by name",
    LosesStateWhenSaved: "self.state",
    HidesItsParameter: "own name|self.state",
    AcceptsNaN: "NaN",
    StartsWithAFavourite: "same chance",
    ChoosesByItself: "final",
}


def test_a_right_policy_of_ones_own_passes():
    check_policy(Sums)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda cls: cls.__name__)
def test_contract_catches(broken):
    make_policy = (lambda: broken(width=2.0)) if broken is HidesItsParameter else broken
    with pytest.raises(AssertionError, match=BROKEN[broken]):
        check_policy(make_policy, example_data(), example_log())
