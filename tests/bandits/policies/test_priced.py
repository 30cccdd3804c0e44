"""Policies that weigh cost against reward: a weight that may change, a budget, a quality at least cost."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import (
    KNN,
    BestFixedArm,
    EpsilonGreedy,
    FullInformationData,
    LinTS,
    LinUCB,
    LoggedData,
    Reinforce,
    Uniform,
    estimate,
)
from bandits.policies import Budgeted, CostWeighted, Discounted, LeastCost, LogisticUCB, load_policy
from bandits.policies.linear.arm_posterior import ArmPosterior
from bandits.testing import check_policy, example_data

COSTS = np.array([1.0, 3.0, 9.0])


def priced(n_rows=400, seed=0):
    """Return three arms of rising cost; how much the dear ones bring more depends on the context."""
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(n_rows, 2))
    rewards = np.stack([np.full(n_rows, 0.5), 0.6 + contexts[:, 0], 0.7 + 2 * contexts[:, 1]], axis=1)
    return FullInformationData(contexts, rewards, ("small", "medium", "large"), costs=np.tile(COSTS, (n_rows, 1)))


def mean_cost(policy, data):
    return float((policy.probabilities(data.contexts) * data.costs).sum(axis=1).mean())


@pytest.mark.parametrize(
    "policy",
    [
        CostWeighted(cost_weight=0.1),
        CostWeighted(KNN(3), cost_weight=0.1),
        EpsilonGreedy(CostWeighted(BestFixedArm())),
        Budgeted(Discounted(LinUCB(), discount=0.95), budget=4.0),
        Budgeted(BestFixedArm(), budget=4.0, period=50),
        LeastCost(LinUCB(prior_precision=3.0)),
    ],
    ids=repr,
)
def test_wrappers_of_other_policies_keep_the_contract(policy):
    data = replace(example_data(), costs=np.tile(COSTS, (60, 1)))
    check_policy(policy, data, data.log_with(Uniform(), np.random.default_rng(0)))


def test_one_fitted_policy_serves_every_weight():
    data = priced()
    ridge = LinUCB(0.0, intercept_precision=0.01)
    policy = CostWeighted(ridge, cost_weight=0.0).fit(data)
    net = {weight: replace(data, rewards=data.rewards - weight * data.costs) for weight in (0.0, 0.05, 0.2, 10.0)}
    for weight, rows in net.items():
        np.testing.assert_array_equal(
            policy.at(weight).probabilities(data.contexts),
            ridge.clone().fit(rows).probabilities(data.contexts),
        )
    costs = [mean_cost(policy.at(weight), data) for weight in net]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == pytest.approx(1.0)
    assert policy.cost_weight == 0.0


@pytest.mark.parametrize("inner", [LinUCB(0.0), BestFixedArm()])
@pytest.mark.parametrize("budget", [1.5, 3.0, 4.4])
def test_a_budget_is_spent_and_not_exceeded_where_costs_are_known(inner, budget):
    data = priced()
    policy, free = (Budgeted(inner.clone(), budget=most).fit(data) for most in (budget, 99.0))
    assert mean_cost(policy, data) == pytest.approx(min(budget, mean_cost(free, data)), rel=1e-3)


def test_a_budget_earns_what_the_linear_program_does():
    from scipy.optimize import linprog

    data = priced(60)
    policy = Budgeted(LinUCB(0.0, prior_precision=1e-6, intercept_precision=1e-6), budget=3.0).fit(data)
    n, k = data.rewards.shape
    rows = np.kron(np.eye(n), np.ones(k))
    best = linprog(-data.rewards.ravel(), [data.costs.ravel()], [3.0 * n], rows, np.ones(n))
    assert data.value(policy) == pytest.approx(-best.fun / n, abs=1e-3)


@pytest.mark.parametrize("inner", [LinUCB(0.0), Discounted(LinUCB(0.0), discount=0.99), LinTS()], ids=repr)
def test_what_dear_arms_cost_is_not_shared_with_cheap_ones(inner):
    costs = np.tile([0.001, 1.0], (20, 1))
    rewards = np.tile([0.4, 0.6], (20, 1))
    data = FullInformationData(np.eye(4)[np.arange(20) % 4], rewards, ("cheap", "dear"), costs=costs)
    found = CostWeighted(inner).fit(data).predict_costs(np.eye(4))
    assert found[:, 0].max() < 0.003
    assert found[:, 1].min() > 0.9


def test_the_weight_is_solved_without_solving_the_models_anew(monkeypatch):
    data = replace(priced(60), contexts=np.random.default_rng(0).normal(size=(60, 20)))
    log = data.log_with(Uniform(), np.random.default_rng(0))
    policy = Budgeted(budget=3.0, period=50).fit(log)
    factorised = []
    whole = ArmPosterior.of
    monkeypatch.setattr(ArmPosterior, "of", lambda *sums: factorised.append(sums) or whole(*sums))
    for row in range(3):
        policy.update(log.subset([row]))
        policy.probabilities(log.contexts[:1])
    assert not factorised


def test_a_hard_budget_holds_in_every_period():
    data, rng = priced(1200), np.random.default_rng(1)
    policy = EpsilonGreedy(Budgeted(budget=2.5, period=40), epsilon=0.0)
    policy.fit(data.subset(np.arange(200)))
    places = {name: arm for arm, name in enumerate(data.arm_names)}
    totals = []
    for start in range(200, 400, 40):
        spent = 0.0
        for row in range(start, start + 40):
            decision = policy.choose(data.contexts[row], rng)
            arm = places[decision.arm]
            spent += data.costs[row, arm]
            one = LoggedData(
                data.contexts[[row]],
                [arm],
                data.rewards[[row], [arm]],
                [decision.propensity],
                data.arm_names,
                costs=data.costs[[row], [arm]],
            )
            policy.update(one)
        totals.append(spent)
    assert max(totals) <= 100.0
    assert min(totals) > 85.0


def test_a_quality_is_kept_at_less_cost_than_the_arm_that_has_it():
    data = priced()
    policy = LeastCost().fit(data)
    best = data.rewards.mean(axis=0).max()
    assert data.value(policy) == pytest.approx(best, abs=0.02)
    assert mean_cost(policy, data) < 2.0
    cheap = LeastCost(quality=-5.0).fit(data)
    assert mean_cost(cheap, data) == pytest.approx(1.0)


def test_off_policy_values_of_a_budgeted_policy_agree_with_exact_ones():
    data = priced(3000)
    train, test = data.subset(np.arange(1000)), data.subset(np.arange(1000, 3000))
    policy = Budgeted(budget=3.0).fit(train.log_with(Uniform(), np.random.default_rng(0)))
    log = test.log_with(Uniform(test.arm_names), np.random.default_rng(1))
    row = estimate(policy, log)["DoublyRobust"]
    assert row.low <= test.value(policy) <= row.high


def test_saved_and_loaded_by_name(tmp_path):
    data = priced(80)
    for policy in (CostWeighted(cost_weight=0.3), Budgeted(budget=3.0, period=9), LeastCost(quality=0.8)):
        saved = policy.fit(data).save(tmp_path / type(policy).__name__)
        loaded = load_policy(saved)
        assert repr(loaded) == repr(policy)
        np.testing.assert_array_equal(loaded.probabilities(data.contexts), policy.probabilities(data.contexts))
        np.testing.assert_array_equal(loaded.predict_costs(data.contexts), policy.predict_costs(data.contexts))


def test_an_added_arm_costs_what_the_one_it_is_like_does():
    data = priced(80)
    policy = CostWeighted(cost_weight=0.3).fit(data)
    policy.add_arm("twin", like="large")
    policy.add_arm("mean", like=["small", "large"], rows=10)
    costs = policy.predict_costs(data.contexts)
    np.testing.assert_allclose(costs[:, 3], costs[:, 2])
    assert (costs[:, 4] > costs[:, 0]).all()
    assert (costs[:, 4] < costs[:, 2]).all()


def test_what_cannot_be_met_or_priced_is_refused_by_name():
    data = priced(80)
    with pytest.raises(ValueError, match=r"budget 0.5 a decision is met by no policy.*cost 1"):
        Budgeted(budget=0.5).fit(data)
    with pytest.raises(ValueError, match="quality 9 is met by no policy"):
        LeastCost(quality=9.0).fit(data)
    with pytest.raises(ValueError, match="Budgeted learns what arms cost, and the data hold no costs"):
        Budgeted(budget=2.0).fit(replace(data, costs=None))
    with pytest.raises(ValueError, match="period 5 needs a budget"):
        Budgeted(period=5)
    with pytest.raises(ValueError, match="budget must be"):
        Budgeted(budget=-1.0)
    with pytest.raises(ValueError, match="cost_weight must be"):
        CostWeighted(cost_weight=-1.0)
    with pytest.raises(TypeError, match="must predict rewards"):
        CostWeighted(Reinforce())
    with pytest.raises(TypeError, match="must learn any number"):
        CostWeighted(LogisticUCB())
    with pytest.raises(TypeError, match="weigh no costs itself"):
        Budgeted(CostWeighted())
    with pytest.raises(ValueError, match="must have learned nothing yet"):
        CostWeighted(LinUCB().fit(data))
    with pytest.raises(ValueError, match=r"costs.*must be >= 0"):
        replace(data, costs=-data.costs)
