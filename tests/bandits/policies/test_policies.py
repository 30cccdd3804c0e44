"""What each policy computes, against closed forms and plain solves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bandits import (
    KNN,
    UCB1,
    BestFixedArm,
    EpsilonGreedy,
    FullInformationData,
    LinTS,
    LinUCB,
    LoggedData,
    Uniform,
)
from bandits.policies.linear.lin_ts import OFFLINE_SCALE
from bandits.policies.linear.prior_precision import choose_prior_precision
from bandits.testing import example_data, example_log
from tests.support.plain_ridge import common_intercept, plain_ridge, rows_of


def reference(data, prior=1.0, intercept=3.0):
    """Return each arm's coefficients and covariance, about the intercept that all share, and that one."""
    arms = [(data.contexts, rewards) for rewards in data.rewards.T]
    common = common_intercept(arms, prior=prior, intercept=intercept)
    fitted = [plain_ridge(*arm, prior=prior, intercept=intercept, common=common) for arm in arms]
    return [arm[0] for arm in fitted], fitted[0][1], common


@pytest.mark.parametrize("intercept", [0.01, 10.0])
def test_lin_ucb_picks_the_best_upper_bound(intercept):
    data = example_data()
    log = example_log()
    policy = LinUCB(ucb_width=0.7, intercept_precision=intercept).fit(log)
    arms = [(log.contexts[log.actions == arm], log.rewards[log.actions == arm]) for arm in range(3)]
    common = common_intercept(arms, intercept=intercept)
    assert policy.ridge.common_intercept == pytest.approx(common)
    every, bounds = rows_of(data.contexts, intercept), np.empty((len(data), 3))
    for arm, own in enumerate(arms):
        coefficients, covariance = plain_ridge(*own, intercept=intercept, common=common)
        spread = np.sqrt(np.einsum("nd,de,ne->n", every, covariance, every))
        bounds[:, arm] = every @ coefficients + 0.7 * spread
    np.testing.assert_array_equal(policy.probabilities(data.contexts).argmax(axis=1), bounds.argmax(axis=1))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), noise=st.floats(0.01, 10.0))
def test_two_arm_thompson_with_known_noise_equals_the_closed_form(seed, noise):
    data = example_data(n_arms=2, seed=seed)
    policy = LinTS(noise, prior_precision=1.0, intercept_precision=3.0, sampled_share=1.0).fit(data)
    (first, second), covariance, _ = reference(data)
    rows = rows_of(data.contexts, 3.0)
    scale = noise * np.sqrt(2 * np.einsum("nd,de,ne->n", rows, covariance, rows))
    expected = stats.norm.cdf(rows @ (first - second) / scale)
    np.testing.assert_allclose(policy.probabilities(data.contexts)[:, 0], expected, atol=2e-5)


def test_lin_ts_learns_the_scale_of_the_noise():
    rng = np.random.default_rng(0)
    contexts = rng.normal(size=(2000, 3))
    rewards = contexts @ rng.normal(size=(3, 2)) + rng.normal(size=(2000, 2)) * [0.2, 3.0]
    policy = LinTS(prior_precision=1.0).fit(FullInformationData(contexts, rewards, ("quiet", "noisy")))
    variances, degrees = policy.noise_posterior()
    np.testing.assert_allclose(np.sqrt(variances), [0.2, 3.0], rtol=0.05)
    np.testing.assert_array_equal(degrees, [2004.0, 2004.0])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), unit=st.sampled_from([1e-3, 1.0, 1e3]))
def test_lin_ts_posterior_follows_its_formula(seed, unit):
    data = example_data(seed=seed)
    data = FullInformationData(data.contexts, data.rewards * unit, data.arm_names)
    variances, _ = (
        LinTS({"shape": 3.0, "rate": 0.5}, prior_precision=1.0, intercept_precision=3.0).fit(data).noise_posterior()
    )
    fitted, _, common = reference(data)
    for arm in range(3):
        coefficients = fitted[arm]
        from_prior = coefficients - [0.0, 0.0, 0.0, 0.0, 0.0, common]
        residual = ((data.rewards[:, arm] - rows_of(data.contexts, 3.0) @ coefficients) ** 2).sum()
        residual += ([1.0, 1.0, 1.0, 1.0, 1.0, 3.0] * from_prior**2).sum()
        assert variances[arm] == pytest.approx((0.5 + residual / 2) / (3.0 + 30.0), rel=1e-6)


def test_posterior_scale_multiplies_the_deviations_of_scores():
    data = example_data(n_arms=2)
    policy = LinTS(0.7, posterior_scale=0.5).fit(data)
    expected = LinTS(0.35).fit(data).probabilities(data.contexts)
    np.testing.assert_allclose(policy.probabilities(data.contexts), expected)
    published = LinTS(sampled_share=1.0).fit(data)
    offline = LinTS(sampled_share=1.0, posterior_scale=OFFLINE_SCALE).fit(data)
    sharper = offline.probabilities(data.contexts).max(axis=1) - published.probabilities(data.contexts).max(axis=1)
    assert sharper.min() > -1e-9
    assert sharper.max() > 0.1


@pytest.mark.parametrize("truth", [1.0, 16.0, 64.0])
def test_prior_precision_is_learned_in_any_batches_and_then_the_posterior_is_that_of_a_fixed_one(truth):
    rng = np.random.default_rng(3)
    contexts = rng.normal(size=(900, 40)) / np.sqrt(40) + 0.3  # their spread is of unit length
    rewards = 0.5 + contexts @ rng.normal(scale=0.4 / np.sqrt(truth), size=(40, 3)) + 0.4 * rng.normal(size=(900, 3))
    data = FullInformationData(contexts, rewards, ("a", "b", "c"))
    log = data.log_with(Uniform(), rng)
    batched = LinTS(prior_precision=None, sampled_share=1.0, arm_names=("a", "b", "c"))
    for part in np.split(np.arange(900), [1, 3, 200, 203, 205, 700]):
        batched.update(log.subset(part))
        batched.probabilities(contexts[:1])
    found = LinTS(prior_precision=None, sampled_share=1.0).fit(log).probabilities(contexts)
    np.testing.assert_allclose(batched.probabilities(contexts), found, atol=1e-6)
    policies = [LinTS(prior_precision=truth * f, sampled_share=1.0) for f in (0.25, 1.0, 4.0)]
    near = [policy.fit(log).probabilities(contexts) for policy in policies]
    assert min(np.abs(found - one).max() for one in near) < 1e-6


def test_best_fixed_arm_uses_propensities_on_a_log():
    # Both arms bring 1 on easy queries; on hard ones "a" brings 0 and "b" 0.5. The log shows "a" on easy ones.
    rng = np.random.default_rng(0)
    easy = np.arange(4000) % 2 == 0
    probability_a = np.where(easy, 0.9, 0.1)
    actions = (rng.random(4000) > probability_a).astype(int)
    rewards = np.where(easy, 1.0, np.where(actions == 0, 0.0, 0.5))
    log = LoggedData(
        np.zeros((4000, 1)), actions, rewards, np.where(actions == 0, probability_a, 1 - probability_a), ("a", "b")
    )
    means = BestFixedArm().fit(log).mean_rewards()
    assert rewards[actions == 0].mean() > rewards[actions == 1].mean()
    np.testing.assert_allclose(means, [0.5, 0.75], atol=0.05)
    weighted = LoggedData(log.contexts, actions, rewards, log.propensities, ("a", "b"), weights=np.full(4000, 2.0))
    np.testing.assert_allclose(BestFixedArm().fit(weighted).mean_rewards(), means)


def test_best_fixed_arm_without_data_for_an_arm():
    log = example_log().select_arms(("arm_b",))
    policy = BestFixedArm(arm_names=("arm_a", "arm_b")).fit(log)
    assert policy.probabilities(log.contexts[:1]).tolist() == [[0.0, 1.0]]
    assert policy.probabilities(log.contexts[:1], [[True, False]]).tolist() == [[1.0, 0.0]]


def test_epsilon_greedy_mixes_over_available_arms():
    data = example_data()
    policy = EpsilonGreedy(BestFixedArm(), epsilon=0.3).fit(data)
    best = int(np.argmax(policy.policy.mean_rewards()))
    expected = np.full(3, 0.1)
    expected[best] += 0.7
    np.testing.assert_allclose(policy.probabilities(data.contexts[:1])[0], expected)
    available = np.ones((1, 3), bool)
    available[0, (best + 1) % 3] = False
    assert policy.probabilities(data.contexts[:1], available)[0].max() == pytest.approx(0.85)


def test_row_weights_count_as_repeated_rows():
    log = example_log()
    twice = LoggedData.concat([log, log])
    fields = (log.contexts, log.actions, log.rewards, log.propensities, log.arm_names)
    weighted = LoggedData(*fields, weights=np.full(len(log), 2.0))
    for policy in (LinUCB, LinTS):
        np.testing.assert_allclose(
            policy().fit(weighted).probabilities(log.contexts),
            policy().fit(twice).probabilities(log.contexts),
        )


def test_shards_merge_into_one_fit():
    data = example_data()
    whole = LinTS().fit(data)
    first, second = LinTS().fit(data.subset(np.arange(25))), LinTS(arm_names=("arm_a", "arm_b", "arm_c"))
    second.fit(data.subset(np.arange(25, 60)))
    first.merge(second)
    np.testing.assert_allclose(first.probabilities(data.contexts), whole.probabilities(data.contexts), atol=1e-9)
    with pytest.raises(ValueError, match="same parameters"):
        first.merge(LinTS(prior_precision=2.0).fit(data))


def test_few_rows_of_many_features_are_no_worse_than_the_best_fixed_arm():
    rng = np.random.default_rng(0)
    topic = rng.integers(4, size=600)
    centres = rng.normal(size=(4, 384))
    contexts = centres[topic] + rng.normal(size=(600, 384))
    contexts /= np.linalg.norm(contexts, axis=1, keepdims=True)
    rewards = 1.0 + 0.3 * np.eye(4)[topic] + 0.2 * rng.normal(size=(600, 4))
    data = FullInformationData(contexts, rewards, ("a", "b", "c", "d"))
    train, test = data.subset(np.arange(200)), data.subset(np.arange(200, 600))
    best, oracle = test.value(BestFixedArm().fit(train)), 1.3
    for policy in (LinUCB(), LinUCB(prior_precision=choose_prior_precision(train))):
        assert test.value(policy.fit(train)) > best + 0.8 * (oracle - best)
    assert test.value(LinUCB().fit(train.log_with(Uniform(), rng))) > best


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinUCB(ucb_width=-1), "ucb_width must be a finite number >= 0, got -1"),
        (lambda: LinUCB(prior_precision=0), "prior_precision must be a finite number > 0, got 0"),
        (lambda: LinUCB(intercept_precision=float("nan")), "intercept_precision"),
        (lambda: LinTS(0.0), "noise must be"),
        (lambda: LinTS({"rate": -1}), "rate must be a finite number > 0, got -1"),
        (lambda: LinTS(posterior_scale=0), r"posterior_scale must be a finite number in \[1e-150, 1e\+150\], got 0"),
        (lambda: EpsilonGreedy(Uniform(), epsilon=1.5), r"epsilon must be a finite number in \[0, 1\], got 1.5"),
        (lambda: Uniform(arm_names=("a", "")), "non-empty strings"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_epsilon_greedy_needs_a_policy():
    with pytest.raises(TypeError, match="must be a Policy"):
        EpsilonGreedy(LinUCB)


def test_a_policy_without_arms_says_so():
    with pytest.raises(RuntimeError, match="knows no arms yet"):
        LinUCB().probabilities(np.zeros((1, 2)))
    decision = LinUCB(arm_names=("a", "b")).choose(np.zeros(2), np.random.default_rng(0))
    assert decision.propensity == 0.5


def test_what_is_no_data_no_mask_or_no_generator_is_named():
    data = example_data()
    policy = LinUCB().fit(data)
    for learn in (policy.fit, policy.update):
        with pytest.raises(
            TypeError,
            match="FullInformationData or LoggedData, or the arrays contexts, actions and rewards; got ndarray",
        ):
            learn(data.contexts)
    with pytest.raises(TypeError, match=r"numpy.random.Generator, got 3"):
        policy.choose(data.contexts[0], 3)
    with pytest.raises(ValueError, match="available must name at least one arm"):
        policy.choose(data.contexts[0], np.random.default_rng(0), ())


def test_data_of_another_encoder_are_refused():
    data = example_data()
    policy = Uniform()
    policy.start(data.arm_names, data.n_features, encoder="hashing-5")
    policy.update(data)
    other = FullInformationData(data.contexts, data.rewards, data.arm_names, encoder="minilm")
    with pytest.raises(ValueError, match="encoder 'hashing-5', the data are from 'minilm'"):
        policy.update(other)


def test_arms_change_before_any_data():
    policy = Uniform(arm_names=("a", "b"))
    policy.add_arm("c")
    policy.remove_arm("a")
    assert policy.arm_names == ("b", "c")
    with pytest.raises(RuntimeError, match="learned nothing yet"):
        policy.learned  # noqa: B018  the property raises


def test_a_policy_that_gives_no_distribution_cannot_choose():
    class Broken(Uniform):
        def _probabilities(self, state, contexts, available):
            return super()._probabilities(state, contexts, available) * 0.5

    with pytest.raises(RuntimeError, match=r"Broken must give a distribution"):
        Broken(arm_names=("a", "b")).choose(np.zeros(2), np.random.default_rng(0))


@pytest.mark.parametrize("policy", [LinUCB(), UCB1(), BestFixedArm(), EpsilonGreedy(LinUCB())], ids=repr)
def test_an_arm_that_starts_as_several_has_their_mean_of_so_many_rows(policy):
    data = example_data()
    policy = policy.clone().fit(data)
    arms = {name: array.copy() for name, array in policy.learned.per_arm.items()}
    prior = policy.clone()
    prior.start(data.arm_names, data.n_features)
    policy.add_arm("mean", like=data.arm_names)
    policy.add_arm("few", like=("arm_a", "arm_b"), rows=6)
    policy.add_arm("most", like=("arm_a", "arm_b"), rows=1e9)
    places = [data.arm_names.index(name) for name in ("arm_a", "arm_b")]
    for name, array in policy.learned.per_arm.items():
        nothing = prior.learned.per_arm[name][0]
        np.testing.assert_allclose(array[3], arms[name].mean(axis=0), rtol=1e-12)
        own = arms[name][places].sum(axis=0) - nothing * 2
        np.testing.assert_allclose(array[4], nothing + own * 6 / 120, rtol=1e-12)
        np.testing.assert_allclose(array[5], nothing + own, rtol=1e-12)


def test_an_arm_of_a_policy_without_sums_starts_as_one_other_or_as_none():
    policy = KNN().fit(example_data())
    with pytest.raises(ValueError, match="cannot start an arm with the mean of several"):
        policy.add_arm("mean", like=("arm_a", "arm_b"))
    assert "mean" not in policy.arm_names


def test_a_warm_started_arm_begins_as_its_model():
    data = example_data()
    policy = LinUCB().fit(data)
    policy.add_arm("copy", like="arm_b")
    coefficients = policy.ridge.coefficients
    np.testing.assert_allclose(coefficients[3], coefficients[policy.arm_names.index("arm_b")], rtol=1e-12)
    with pytest.raises(ValueError, match="unknown arm 'nobody'"):
        policy.add_arm("other", like="nobody")
    single = Uniform(arm_names=("a",))
    with pytest.raises(ValueError, match="at least one"):
        single.remove_arm("a")


def test_draws_follow_probabilities_and_use_one_number_each():
    data = example_data()
    policy = LinTS(2.0, sampled_share=1.0).fit(data.subset(np.arange(5)))
    row = data.contexts[0]
    rng = np.random.default_rng(0)
    drawn = np.bincount([policy.choose(row, rng).action for _ in range(3000)], minlength=3) / 3000
    np.testing.assert_allclose(drawn, policy.probabilities(row[None])[0], atol=0.04)  # four standard errors
    other = np.random.default_rng(0)
    other.random(3000)
    assert rng.random() == other.random()


def test_float32_leverages_of_a_batch_change_no_decision_beyond_rounding():
    rng = np.random.default_rng(6)
    contexts = rng.normal(size=(400, 20)) / np.sqrt(20)
    log = FullInformationData(contexts, rng.normal(size=(400, 3)), ("a", "b", "c")).log_with(Uniform(), rng)
    for policy in (LinUCB(), LinTS()):
        policy.fit(log)
        one_by_one = np.concatenate([policy.probabilities(row[None]) for row in log.contexts])
        np.testing.assert_allclose(policy.probabilities(log.contexts), one_by_one, atol=1e-6)


def test_shards_of_other_encoders_do_not_merge():
    data = example_data()
    first, second = LinUCB(), LinUCB()
    first.start(data.arm_names, 5, encoder="hashing-5")
    second.start(data.arm_names, 5, encoder="minilm")
    with pytest.raises(ValueError, match="one encoder, got 'hashing-5' and 'minilm'"):
        first.merge(second)
    third = LinUCB().fit(data)
    third.merge(first)
    assert third.state.encoder == "hashing-5"
