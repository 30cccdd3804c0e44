"""Forgetting is exact: a discounted policy is a weighted fit, a window a fit to its rows."""

from itertools import pairwise

import numpy as np
import pytest

from bandits import KNN, UCB1, BestFixedArm, EpsilonGreedy, LinTS, LinUCB, LoggedData, Regression, Reinforce, SquareCB
from bandits.policies import Discounted, ResetOnDrift, SlidingWindow
from bandits.policies.linear.ridge import Ridge
from bandits.testing import example_data, example_log

PARTS = ([0, 7, 8, 30, 60], [0, 60], list(range(61)))


def learned_in_parts(policy, data, ends):
    policy.start(data.arm_names, data.n_features)
    for start, end in pairwise(ends):
        policy.update(data.subset(np.arange(start, end)))
    return policy


def assert_same_knowledge(policy, plain, data, tolerance=1e-9):
    for name, array in plain.learned.per_arm.items():
        np.testing.assert_allclose(policy.learned.per_arm[name], array, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(policy.probabilities(data.contexts), plain.probabilities(data.contexts), atol=1e-6)


@pytest.mark.parametrize("ends", PARTS, ids=len)
@pytest.mark.parametrize("plain", [LinUCB(), LinTS(), SquareCB(), UCB1(), BestFixedArm()], ids=repr)
def test_discounted_rows_are_a_fit_to_weighted_rows(plain, ends):
    log = example_log()
    weights = 0.93 ** np.arange(len(log) - 1.0, -1.0, -1.0)
    weighted = LoggedData(log.contexts, log.actions, log.rewards, log.propensities, log.arm_names, weights=weights)
    policy = learned_in_parts(Discounted(plain.clone(), discount=0.93), log, ends)
    assert_same_knowledge(policy, plain.clone().fit(weighted), log)


def test_discounted_ridge_sums_are_those_of_the_formula():
    log, discount = example_log(), 0.9
    precision = np.zeros((3, 6, 6))
    for row in range(len(log)):
        x = np.append(log.contexts[row].astype(float), 1.0)
        precision *= discount
        precision[log.actions[row]] += np.outer(x, x)
    prior = np.diag([1.0] * 5 + [0.01])
    policy = Discounted(LinUCB(intercept_precision=0.01), discount=discount)
    found = learned_in_parts(policy, log, [0, 13, 60]).learned.per_arm["precision"]
    np.testing.assert_allclose(np.tril(found), np.tril(precision + prior), rtol=1e-9, atol=1e-12)


def test_full_information_ages_by_rows_not_by_rewards():
    data = example_data()
    policy = learned_in_parts(Discounted(UCB1(), discount=0.5), data, [0, 60])
    np.testing.assert_allclose(policy.learned.per_arm["counts"], 2.0, rtol=1e-12)


@pytest.mark.parametrize("ends", PARTS, ids=len)
@pytest.mark.parametrize("data", [example_log(), example_data()], ids=["log", "full"])
@pytest.mark.parametrize(
    "plain",
    [
        LinUCB(),
        EpsilonGreedy(BestFixedArm()),
        UCB1(),
        KNN(n_neighbors=3),
        Regression("sklearn.tree:DecisionTreeRegressor"),
    ],
    ids=repr,
)
def test_a_window_is_a_fit_to_its_rows(plain, data, ends):
    policy = learned_in_parts(SlidingWindow(plain.clone(), n_rows=17), data, ends)
    assert_same_knowledge(policy, plain.clone().fit(data.subset(np.arange(43, 60))), data)
    assert policy.learned.n_rows == 60


def test_a_window_keeps_to_arms_that_join_and_leave():
    log = example_log()
    policy = SlidingWindow(UCB1(), n_rows=20).fit(log)
    policy.remove_arm("arm_a")
    policy.add_arm("copy", like="arm_b")
    policy.update(log.subset([59]).with_arms(log.arm_names).select_arms([log.arm_names[log.actions[59]]]))
    last = log.actions[np.append(np.arange(41, 60), 59)]
    counts = np.bincount(last, minlength=3)
    expected = {name: counts[log.arm_names.index(name)] for name in ("arm_b", "arm_c")}
    expected["copy"] = expected["arm_b"] - (log.arm_names[log.actions[59]] == "arm_b")
    assert dict(zip(policy.arm_names, policy.learned.per_arm["counts"], strict=True)) == expected


@pytest.mark.parametrize("forgets", [Discounted, SlidingWindow])
def test_what_cannot_forget_is_refused(forgets):
    with pytest.raises(TypeError, match="policy must be an AdditivePolicy"):
        forgets(Reinforce())
    with pytest.raises(TypeError, match="has not begun to forget"):
        forgets(EpsilonGreedy(Discounted(LinUCB())))
    with pytest.raises(TypeError, match="has not begun to forget"):
        forgets(EpsilonGreedy(ResetOnDrift(LinUCB())))
    ResetOnDrift(forgets(LinUCB()))


def test_bad_settings_are_refused():
    for discount in (0.0, 1.0, float("nan"), "0.9", True):
        with pytest.raises(ValueError, match=r"discount must be in \(0, 1\)"):
            Discounted(discount=discount)
    with pytest.raises(ValueError, match="n_rows must be an integer >= 1"):
        SlidingWindow(n_rows=0)
    with pytest.raises(ValueError, match="rows it learned from are gone"):
        SlidingWindow(LinUCB().fit(example_log()))
    with pytest.raises(ValueError, match="rows, which have no mean"):
        SlidingWindow(LinUCB(arm_names=("a", "b"))).add_arm("c", like=("a", "b"))


@pytest.mark.parametrize("wrap", [SlidingWindow, ResetOnDrift], ids=lambda wrap: wrap.__name__)
def test_posteriors_that_an_update_kept_up_serve_the_next_choice(monkeypatch, wrap):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 3)).astype(np.float32), rng.integers(2, size=40), rng.random(40)
    policy = wrap(LinUCB(arm_names=("a", "b"))).fit(*rows, propensities=np.full(40, 0.5))

    def factorise_again(*arguments, **settings):
        raise AssertionError("the posteriors were there")

    monkeypatch.setattr(Ridge, "of", factorise_again)
    policy.probabilities(rows[0])
    if wrap is ResetOnDrift:  # a window takes its sums anew, and so begins at the prior's
        policy.update(rows[0][:1], rows[1][:1], rows[2][:1], propensities=np.full(1, 0.5))
        policy.probabilities(rows[0])
