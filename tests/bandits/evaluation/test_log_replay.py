"""What a policy would have earned on a log: near the truth, honest in time, and silent where the log cannot tell."""

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from bandits import IPS, SNIPS, DirectMethod, DoublyRobust, EpsilonGreedy, FullInformationData, LinUCB, Uniform
from bandits.evaluation import LogReplay, replay_log
from bandits.off_policy.estimators import RejectionReplay
from bandits.off_policy.reward_model import RewardModel

ARMS = ("plain", "fast")


@pytest.fixture(scope="module")
def full():
    """Where the context is above 0 `fast` earns 0.4 more, else 0.4 less."""
    rng = np.random.default_rng(0)
    contexts = rng.normal(size=(2000, 2)).astype(np.float32)
    gain = 0.2 * np.sign(contexts[:, 0])
    rewards = 0.5 + np.stack([-gain, gain], axis=1) + rng.uniform(-0.1, 0.1, (2000, 2))
    return FullInformationData(contexts, rewards, ARMS)


def served(full, policy=None, n=2000):
    log = full.subset(np.arange(n)).log_with(policy or Uniform(), np.random.default_rng(1))
    return replace(log, times=np.arange(n, dtype=np.float64))


def learner():
    return EpsilonGreedy(LinUCB(ucb_width=0.0), epsilon=0.1)


def test_a_policy_that_learned_from_the_earlier_part_is_valued_near_its_true_gain_on_the_later_one(full):
    log = served(full)
    replayed = replay_log({"greedy": learner()}, log, estimators=(DoublyRobust(), SNIPS()), test_share=0.75)
    assert (replayed.n_train, replayed.n_rows) == (500, 1500)
    later = full.subset(np.arange(500, 2000))
    fitted = learner().fit(log.subset(np.arange(500)))
    row = replayed["greedy"]
    assert row.interval[0] < later.value(fitted) < row.interval[1]
    assert row.gain.low > 0
    assert replayed.conclusion.endswith("more a decision than what was served: serve it.")


def test_reference_lines_are_what_was_served_and_every_arm(full):
    log = served(full)
    replayed = replay_log({"greedy": learner()}, log, estimators=(DoublyRobust(), SNIPS()))
    assert [(row.name, row.kind) for row in replayed] == [
        *[("greedy", "policy")] * 2,
        ("what was served", "served"),
        ("plain", "arm"),
        ("fast", "arm"),
    ]
    assert replayed["what was served"].value == pytest.approx(log.rewards[1000:].mean())
    assert replayed["plain"].interval[0] < full.rewards[1000:, 0].mean() < replayed["plain"].interval[1]


def test_the_difference_to_what_was_served_is_the_difference_of_the_values(full):
    replayed = replay_log({"greedy": learner()}, served(full), estimators=(IPS(),))
    gain = replayed["greedy"].value - replayed["what was served"].value
    assert replayed["greedy"].gain.value == pytest.approx(gain)


@dataclass(frozen=True)
class CountedModel(RewardModel):
    """Predicts 0.5, and counts how often it was fitted."""

    fits: list = field(default_factory=list, compare=False)

    def predict(self, log):
        self.fits.append(len(log))
        return np.full((len(log), log.n_arms), 0.5)


class CountedLearner(EpsilonGreedy):
    n_fits = 0

    def _update(self, state, data):
        CountedLearner.n_fits += 1
        return super()._update(state, data)


def test_policies_and_reward_models_are_fitted_once_however_many_estimators_ask(full):
    model = CountedModel()
    estimators = (DoublyRobust(model), SNIPS(), DirectMethod(model))
    CountedLearner.n_fits = 0
    replay_log({"a": CountedLearner(LinUCB()), "b": Uniform()}, served(full), estimators=estimators)
    assert CountedLearner.n_fits == 1
    assert model.fits == [1000]


def test_a_fitted_policy_is_valued_on_the_whole_log_as_it_is(full):
    fitted = Uniform(arm_names=ARMS).fit(served(full, n=100))
    replayed = replay_log({"saved": fitted}, served(full))
    assert (replayed.n_train, replayed.n_rows) == (0, 2000)
    later = replay_log({"saved": fitted}, served(full), test_share=0.25)
    assert (later.n_train, later.n_rows) == (0, 500)
    assert later.table().title.startswith("500 decisions, 95%")
    low, high = replayed["saved"].gain.interval
    assert low < 0 < high
    assert "no difference can be told" in replayed.conclusion


def test_a_log_that_explored_nothing_is_said_to_tell_nothing(full):
    log = replace(served(full), action_probabilities=None, propensities=np.ones(2000), actions=np.zeros(2000, int))
    always_fast = LinUCB(ucb_width=0.0).fit(np.ones((4, 2), np.float32), [0, 1] * 2, [0.0, 1.0] * 2, arm_names=ARMS)
    replayed = replay_log({"other": always_fast}, log)
    assert "the log cannot tell" in replayed.conclusion


def test_an_estimator_that_leaves_rows_out_has_a_value_and_no_paired_gain(full):
    replayed = replay_log({"greedy": learner()}, served(full), estimators=(RejectionReplay(),))
    assert replayed["greedy"].value is not None
    assert replayed["greedy"].gain is None


def test_nothing_to_learn_from_is_refused(full):
    with pytest.raises(ValueError, match="test_share below 1"):
        replay_log({"greedy": learner()}, served(full), test_share=1.0)
    with pytest.raises(ValueError, match="at least one policy"):
        replay_log({}, served(full))


def test_a_replay_is_saved_and_read_back(full):
    replayed = replay_log({"greedy": learner()}, served(full, n=400))
    assert LogReplay.from_json(replayed.to_json()) == replayed
    json.loads(replayed.to_json())
    assert replayed.conclusion in replayed.to_markdown()
