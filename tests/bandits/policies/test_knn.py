"""Nearest neighbours against a plain search."""

import numpy as np
import pytest

from bandits import KNN, EpsilonGreedy, FullInformationData, LoggedData, load_policy
from bandits.policies import codec
from bandits.testing import example_data, example_log


def plain(log, context, arm, n_neighbors):
    own = np.flatnonzero(log.actions == arm)
    distances = ((log.contexts[own].astype(float) - context.astype(float)) ** 2).sum(axis=1)
    return log.rewards[own[np.argsort(distances)[:n_neighbors]]].mean()


def test_predictions_equal_a_plain_search(monkeypatch):
    log = example_log()
    queries = np.random.default_rng(0).normal(size=(15, 5)).astype(np.float32)
    policy = KNN(n_neighbors=4).fit(log)
    expected = [[plain(log, query, arm, 4) for arm in range(3)] for query in queries]
    np.testing.assert_allclose(policy.predict_rewards(queries), expected)
    monkeypatch.setattr("bandits.policies.knn._MAX_CELLS", 1)
    np.testing.assert_allclose(policy.predict_rewards(queries), expected)


@pytest.mark.parametrize("far", ["constant", "two clusters", "one row far away"])
def test_neighbours_are_exact_beside_a_feature_of_any_size(far):
    rng = np.random.default_rng(0)
    contexts = rng.normal(size=(300, 3)).astype(np.float32)
    contexts[:, 2] = {"constant": 1e6, "two clusters": 1e6 * (-1) ** np.arange(300), "one row far away": 1.0}[far]
    if far == "one row far away":
        contexts[0] = 1e9
    log = LoggedData(contexts, rng.integers(3, size=300), rng.normal(size=300), np.ones(300), ("a", "b", "c"))
    queries = contexts[100:140] + rng.normal(0, 0.1, size=(40, 3)).astype(np.float32)
    queries[:, 2] = contexts[100:140, 2]
    expected = [[plain(log, query, arm, 4) for arm in range(3)] for query in queries]
    np.testing.assert_allclose(KNN(n_neighbors=4).fit(log).predict_rewards(queries), expected)


def test_arms_seen_on_the_same_rows_are_searched_once(monkeypatch):
    rng = np.random.default_rng(1)
    contexts, rewards = rng.normal(size=(30, 2)), rng.normal(size=(30, 4))
    observed = np.ones((30, 4), np.bool_)
    observed[10:20, 2] = False
    data = FullInformationData(contexts, rewards, ("a", "b", "c", "d"), observed=observed)
    policy, query = KNN(n_neighbors=3).fit(data), rng.normal(size=2)
    searched = []

    def counted(values, *arguments, **options):
        searched.append(values.shape)
        return partition(values, *arguments, **options)

    partition = np.partition
    monkeypatch.setattr(np, "partition", counted)
    predicted = policy.predict_rewards(query[None])[0]
    assert len(searched) == 2 * 2  # candidates and their ranking, for a, b and d together and for c
    for arm in range(4):
        own = np.flatnonzero(observed[:, arm])
        nearest = own[np.argsort(((data.contexts[own] - query.astype(np.float32)) ** 2).sum(axis=1))[:3]]
        assert predicted[arm] == pytest.approx(rewards[nearest, arm].mean())


@pytest.mark.parametrize("n_arms", [5, 18])
def test_arms_of_equal_rewards_stay_equal_to_the_last_bit(n_arms):
    rng = np.random.default_rng(2)
    contexts, queries = rng.normal(size=(333, 4)), rng.normal(size=(7, 4))
    rewards = np.repeat(rng.normal(size=(333, 1)), n_arms, axis=1)
    policy = KNN().fit(FullInformationData(contexts, rewards, tuple(map(str, range(n_arms)))))
    for rows in (queries, queries[:1]):
        predicted = policy.predict_rewards(rows)
        np.testing.assert_array_equal(predicted, np.repeat(predicted[:, :1], n_arms, axis=1))


def test_rows_as_near_as_the_last_count_too_and_weights_count():
    contexts = np.array([[0.0], [1.0], [-1.0], [5.0]])
    weights = np.array([1.0, 1.0, 2.0, 1.0])
    log = LoggedData(contexts, [0] * 4, [0.0, 1.0, 4.0, 9.0], np.ones(4), ("a", "b"), weights=weights)
    predicted = KNN(n_neighbors=2).fit(log).predict_rewards(np.zeros((1, 1)))
    assert predicted[0, 0] == pytest.approx((0 + 1 + 2 * 4) / 4)
    assert predicted[0, 1] == -np.inf


def test_a_new_arm_is_explored_by_the_wrapper_and_copies_another_when_asked():
    data = example_data()
    policy = EpsilonGreedy(KNN(n_neighbors=3), epsilon=0.4).fit(data)
    policy.add_arm("new")
    np.testing.assert_allclose(policy.probabilities(data.contexts)[:, 3], 0.1)
    policy.add_arm("copy", like="arm_a")
    predicted = policy.policy.predict_rewards(data.contexts)
    np.testing.assert_array_equal(predicted[:, 4], predicted[:, policy.arm_names.index("arm_a")])


def test_rows_come_back_from_a_file_and_uneven_ones_are_refused(tmp_path):
    data = example_data()
    file = KNN().fit(data).save(tmp_path)
    np.testing.assert_array_equal(load_policy(file).state.shared["contexts"], data.contexts)
    header, arrays = codec.read_file(file)
    arrays["shared.contexts"] = arrays["shared.contexts"][:-1].copy()
    codec.write_file(file, header, arrays)
    with pytest.raises(ValueError, match="must be float"):
        load_policy(file)


def test_ragged_data_teach_only_what_was_observed():
    full = example_data()
    observed = np.random.default_rng(0).random(full.rewards.shape) < 0.5
    observed[:, 0] = True
    ragged = FullInformationData(full.contexts, full.rewards, full.arm_names, observed=observed)
    predicted = KNN(n_neighbors=100).fit(ragged).predict_rewards(full.contexts[:1])[0]
    means = [full.rewards[observed[:, arm], arm].mean() for arm in range(3)]
    np.testing.assert_allclose(predicted, means)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="n_neighbors must be an integer >= 1, got 0"):
        KNN(n_neighbors=0)
