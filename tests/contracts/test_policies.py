"""Every policy keeps the contract, and the contract catches policies that do not."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor

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
    Regression,
    Reinforce,
    Softmax,
    SquareCB,
)
from bandits.policies import POLICIES as TABLE
from bandits.policies import (
    AdamWSettings,
    BetaTS,
    BootstrappedTS,
    DiagonalLinUCB,
    Discounted,
    Exp3,
    Hedge,
    LogisticTS,
    LogisticUCB,
    NeuralLinearTS,
    PolicyState,
    ResetOnDrift,
    Selected,
    SlidingWindow,
    greedy,
    uniform_over,
)
from bandits.testing import check_policy, example_data, example_log

FEATURES = {"arm_a": (1.0, 0.0), "arm_b": (0.0, 1.0), "arm_c": (0.0, -1.0), "a new arm": (1.0, 0.0)}
SHORT = AdamWSettings(max_epochs=3, batch_size=16)

QUICK = {
    "reinforce": Reinforce(training=SHORT),
    "neural_linear_ts": NeuralLinearTS(hidden_size=8, training=SHORT),
    "regression": Regression(GradientBoostingRegressor(n_estimators=3)),
    "bootstrapped_ts": BootstrappedTS(n_replicates=2),
}
POLICIES = {name: QUICK.get(name, cls) for name, cls in TABLE.items()} | {
    "lin_ucb without intercept": LinUCB(ucb_width=0.3, prior_precision=2.0, intercept_precision=None),
    "lin_ts with known noise": LinTS(0.3),
    "lin_ts that learns its shrinkage": LinTS(prior_precision=None, sampled_share=1.0),
    "epsilon_greedy of lin_ucb": EpsilonGreedy(LinUCB(), epsilon=0.2),
    "square_cb of fixed sharpness": SquareCB(sharpness=3.0, growth=0.0),
    "hybrid_lin_ucb with arm features": HybridLinUCB(FEATURES, ucb_width=0.3, shared_precision=0.2),
    "knn of three": KNN(n_neighbors=3),
    "regression of trees": Regression("sklearn.tree:DecisionTreeRegressor", min_rows=5),
    "hedge of a wide range": Hedge(reward_range=10.0),
    "discounted diagonal_lin_ucb": Discounted(DiagonalLinUCB(0.5, prior_precision=3.0), discount=0.95),
    "selected of rows and of sums": Selected(KNN(3), Selected(BetaTS(), LinTS()), n_folds=2),
    "beta_ts of another prior": BetaTS(0.5, prior_failures=3.0),
    "discounted beta_ts": Discounted(BetaTS(), discount=0.9),
    "exp3 in a window, with a floor": EpsilonGreedy(SlidingWindow(Exp3(2.0), n_rows=30)),
    "logistic_ts without intercept, in a window": SlidingWindow(LogisticTS(0.5, intercept_precision=None), n_rows=25),
    "logistic_ucb, reset": ResetOnDrift(LogisticUCB(), threshold=2.0, burn_in=3),
    "neural_linear_ts in a short window": SlidingWindow(NeuralLinearTS(hidden_size=40, training=SHORT), n_rows=35),
    "bootstrapped ridge": BootstrappedTS("sklearn.linear_model:Ridge", n_replicates=3, min_rows=2),
    "softmax of means": Softmax(BestFixedArm()),
    "softmax of neighbours": Softmax(KNN(n_neighbors=5)),
    "softmax of ucb1": Softmax(UCB1()),
    "softmax of a shared model": EpsilonGreedy(Softmax(HybridLinUCB()), epsilon=0.05),
    "epsilon_greedy twice": EpsilonGreedy(EpsilonGreedy(BestFixedArm(), epsilon=0.1), epsilon=0.2),
    "discounted means": Discounted(EpsilonGreedy(BestFixedArm()), discount=0.95),
    "discounted ucb1": Discounted(UCB1(), discount=0.9),
    "window of rows kept": SlidingWindow(KNN(n_neighbors=3), n_rows=25),
    "short window of sums": EpsilonGreedy(SlidingWindow(LinTS(), n_rows=25)),
    "reset, in a window": ResetOnDrift(SlidingWindow(LinUCB(), n_rows=40), threshold=2.0, burn_in=3),
    "reinforce without early stopping": Reinforce(
        {"weight_clip": None}, hidden_size=8, seed=3, training=AdamWSettings(max_epochs=2, held_out_share=0.0)
    ),
}


@pytest.mark.parametrize("make_policy", POLICIES.values(), ids=POLICIES.keys())
def test_policy_keeps_the_contract(make_policy):
    check_policy(make_policy)


def test_exact_reinforce_keeps_the_contract_on_full_information():
    check_policy(Reinforce({"gradient": "exact"}, training=SHORT), example_data())


@pytest.mark.parametrize("make_policy", [LinUCB, LinTS, BestFixedArm, UCB1, Hedge, SquareCB, KNN, HybridLinUCB])
def test_policy_keeps_the_contract_on_ragged_data(make_policy):
    full = example_data(n_arms=4)
    observed = np.random.default_rng(0).random(full.rewards.shape) < 0.6
    observed[:, 1] = True
    ragged = FullInformationData(full.contexts, full.rewards, full.arm_names, observed=observed)
    check_policy(make_policy, ragged)


class Sums(Policy):
    """A right policy, which the broken ones below each spoil in one way."""

    exact_updates = True

    def _initial_state(self, arm_names, n_features):
        k = len(arm_names)
        return PolicyState(arm_names, n_features, {"sums": np.zeros(k), "counts": np.zeros(k)})

    def _update(self, state, data):
        sums, counts = data.feedback().arm_sums()
        return state.updated({"sums": state.per_arm["sums"] + sums, "counts": state.per_arm["counts"] + counts})

    def _probabilities(self, state, contexts, available):
        means = state.per_arm["sums"] / np.maximum(state.per_arm["counts"], 1.0)
        return greedy(np.broadcast_to(means, (len(contexts), len(means))), available)


class NotADistribution(Sums):
    def _probabilities(self, state, contexts, available):
        return super()._probabilities(state, contexts, available) * 0.9


class ForgetsTheMask(Sums):
    def _probabilities(self, state, contexts, available):
        return super()._probabilities(state, contexts, None)


class ScramblesBatches(Sums):
    def _probabilities(self, state, contexts, available):
        scores = contexts @ np.outer(np.ones(contexts.shape[1]), np.arange(1, len(state.arm_names) + 1))
        return greedy(scores.reshape(-1, order="F").reshape(scores.shape).astype(float), available)


class UsesTheGlobalGenerator(Sums):
    def _update(self, state, data):
        np.random.random()  # noqa: NPY002
        return super()._update(state, data)


class DiffersFromFitToFit(Sums):
    count = 0

    def _probabilities(self, state, contexts, available):
        type(self).count += 1
        scores = np.full((len(contexts), len(state.arm_names)), 0.0)
        scores[:, type(self).count % len(state.arm_names)] = 1.0
        return greedy(scores, available)


class ChangesContexts(Sums):
    def _probabilities(self, state, contexts, available):
        probabilities = super()._probabilities(state, contexts, available)
        if contexts.flags.writeable:
            contexts *= 2
        return probabilities


class RemembersAcrossFits(Sums):
    known = None

    def _initial_state(self, arm_names, n_features):
        if self.known is None:
            return super()._initial_state(arm_names, n_features)
        return self.known

    def _update(self, state, data):
        self.known = super()._update(state, data)
        return self.known


class KeepsOnlyTheLastBatch(Sums):
    def _update(self, state, data):
        return super()._update(self._initial_state(state.arm_names, state.n_features), data)


class ChangesTheStateInPlace(Sums):
    def _update(self, state, data):
        sums, counts = data.feedback().arm_sums()
        state.per_arm["sums"][:] += sums
        state.per_arm["counts"][:] += counts
        return state


class PrefersTheFirstColumn(Sums):
    def _probabilities(self, state, contexts, available):
        k = len(state.arm_names)
        return greedy(np.broadcast_to(np.arange(k, 0, -1.0), (len(contexts), k)), available)


class ReplacesUpdate(Sums):
    def update(self, data):
        super().update(data)


class LosesStateWhenSaved(Sums):
    def __init__(self, arm_names=None):
        super().__init__(arm_names)
        self.n_seen = 0

    def _update(self, state, data):
        self.n_seen += len(data)
        return super()._update(state, data)

    def _probabilities(self, state, contexts, available):
        probabilities = super()._probabilities(state, contexts, available)
        return probabilities if self.n_seen else uniform_over(probabilities >= 0)


class HidesItsParameter(Sums):
    def __init__(self, width=1.0, *, arm_names=None):
        super().__init__(arm_names)
        self.width = 1.0
        self._width = width

    def _probabilities(self, state, contexts, available):
        probabilities = super()._probabilities(state, contexts, available)
        if self._width == 1.0:
            return probabilities
        mask = np.ones(probabilities.shape, bool) if available is None else available
        return 0.5 * probabilities + 0.5 * uniform_over(mask)


class StartsWithAFavourite(Sums):
    def _probabilities(self, state, contexts, available):
        probabilities = super()._probabilities(state, contexts, available)
        if state.per_arm["counts"].any():
            return probabilities
        scores = np.zeros(probabilities.shape)
        scores[:, state.arm_names.index(min(state.arm_names))] = 1.0
        return greedy(scores, available)


class ChoosesByItself(Sums):
    def choose(self, context, rng, available=None):
        decision = super().choose(context, rng, available)
        return replace(decision, propensity=0.5)


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
    ChangesTheStateInPlace: "must not change the state's arrays|must forget|must give what one fit",
    ReplacesUpdate: "do not replace update",
    LosesStateWhenSaved: "in the state",
    HidesItsParameter: "own name|in the state",
    StartsWithAFavourite: "same probability",
    ChoosesByItself: "do not replace choose",
}


def test_a_right_policy_of_ones_own_passes():
    check_policy(Sums)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda cls: cls.__name__)
def test_contract_catches(broken):
    policy = (lambda: broken(width=2.0)) if broken is HidesItsParameter else broken
    with pytest.raises(AssertionError, match=BROKEN[broken]):
        check_policy(policy, example_data(), example_log())
