"""A deterministic logging policy is worth a warning, once, where the log is made."""

import warnings

import numpy as np
import pytest

from bandits import BestFixedArm, EpsilonGreedy, LoggedData
from bandits.data import DeterministicLogWarning
from bandits.testing import example_data


def log(probabilities, available=None):
    probabilities = np.array(probabilities, dtype=float)
    actions = probabilities.argmax(axis=1)
    n = len(probabilities)
    return LoggedData(
        np.ones((n, 1)), actions, np.zeros(n), probabilities[np.arange(n), actions], ("a", "b"),
        available=available, action_probabilities=probabilities,
    )  # fmt: skip


def test_a_deterministic_policy_that_logs_is_warned_about():
    policy = BestFixedArm().fit(example_data())
    with pytest.warns(DeterministicLogWarning, match="EpsilonGreedy"):
        made = example_data().log_with(policy, np.random.default_rng(0))
    made.subset([0, 1, 2]).with_arms((*made.arm_names, "new"))  # no second warning: warnings are errors here


def test_certain_probabilities_are_warned_about():
    with pytest.warns(DeterministicLogWarning):
        log([[1, 0], [0, 1]])
    with pytest.warns(DeterministicLogWarning):
        log([[1, 0], [0, 1]], available=[[True, False], [True, True]])


def test_a_batch_learned_online_is_deterministic_but_not_worth_a_warning_each_time():
    batch = LoggedData(np.ones((3, 1)), [0, 1, 0], np.zeros(3), np.ones(3), ("a", "b"))
    assert batch.deterministic  # and no warning: warnings are errors here
    assert not batch.subset([0]).deterministic
    assert not LoggedData(np.ones((3, 1)), [0, 0, 0], np.zeros(3), np.ones(3), ("a",)).deterministic


def test_no_warning_where_there_was_a_choice_or_none_to_make():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log([[1, 0], [0.5, 0.5]])
        log([[1, 0]])
        log([[1, 0], [1, 0]], available=[[True, False], [True, False]])
        example_data().log_with(
            EpsilonGreedy(BestFixedArm().fit(example_data()), epsilon=0.1), np.random.default_rng(0)
        )
