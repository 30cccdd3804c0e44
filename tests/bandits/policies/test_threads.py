"""One thread learns while others choose: no choice fails, and every distribution sums to 1."""

import copy
import threading

import numpy as np
import pytest

from bandits import Regression, Reinforce
from bandits.policies import POLICIES, AdamWSettings, BootstrappedTS, NeuralLinearTS
from bandits.testing import example_data

CHOICES = 1500  # of each of three threads
FEW = 60  # where every update or the choice after it is a training


def made(cls):
    quick = {
        Reinforce: {"training": AdamWSettings(max_epochs=1, batch_size=32)},
        Regression: {"estimator": "sklearn.linear_model:Ridge"},
        BootstrappedTS: {"estimator": "sklearn.linear_model:Ridge", "n_replicates": 2},
        NeuralLinearTS: {"training": AdamWSettings(max_epochs=1, batch_size=32), "hidden_size": 4},
    }
    return cls(**quick.get(cls, {}))


@pytest.mark.parametrize("name", POLICIES)
def test_choices_are_whole_while_another_thread_learns(name):
    n_choices = FEW if name in ("reinforce", "regression", "bootstrapped_ts", "neural_linear_ts") else CHOICES
    data = example_data(reward_kind=POLICIES[name].reward_kind)
    policy = made(POLICIES[name]).fit(data)
    faults, totals, done = [], [], threading.Event()

    def learn():
        row = 0
        while not done.is_set():
            policy.update(data.subset([row % len(data)]))
            row += 1
            if row % 50 == 0:  # also keeps those small that hold all rows
                policy.fit(data)
                policy.add_arm("another", like=data.arm_names[0])
                policy.remove_arm("another")

    def choose(seed):
        rng = np.random.default_rng(seed)
        try:
            for index in range(n_choices):
                decision = policy.choose(data.contexts[index % len(data)], rng)
                totals.append(sum(decision.probabilities.values()))
        except Exception as error:
            faults.append(error)

    readers = [threading.Thread(target=choose, args=(seed,)) for seed in range(3)]
    learner = threading.Thread(target=learn)
    for thread in (learner, *readers):
        thread.start()
    for thread in readers:
        thread.join()
    done.set()
    learner.join()
    assert faults == []
    assert len(totals) == 3 * n_choices
    np.testing.assert_allclose(totals, 1.0, atol=1e-9)
    assert policy.state.n_rows >= len(data)


@pytest.mark.parametrize("name", POLICIES)
def test_a_copy_shares_what_was_learned_until_one_of_the_two_learns_more(name):
    data = example_data(reward_kind=POLICIES[name].reward_kind)
    policy = made(POLICIES[name]).fit(data)
    before = policy.probabilities(data.contexts)
    other = copy.deepcopy(policy)
    assert other.state is policy.state  # copying it would trip over what other threads derive meanwhile
    other.update(data)
    assert other.state is not policy.state
    np.testing.assert_array_equal(policy.probabilities(data.contexts), before)


def test_a_policy_without_data_answers_threads_from_its_prior_and_stays_unlearned():
    policy = POLICIES["lin_ucb"](arm_names=("a", "b"))
    threads = [
        threading.Thread(target=policy.choose, args=(np.ones(4), np.random.default_rng(seed))) for seed in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert policy.state is None
