"""What is said of arms that changed while the data were gathered, and that nothing is where they did not."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import ComparisonSettings, EpsilonGreedy, FullInformationData, LinUCB, LoggedData, Uniform, compare
from bandits.evaluation import arm_changes
from bandits.testing import example_data

DAY = 86_400.0
START = np.datetime64("2026-02-01").astype("datetime64[s]").astype(float)


def full(n=1200, at=800):
    """Arm `falls` goes from 0.6 to 0.3 at a row, the other stays; an hour a row."""
    rng = np.random.default_rng(0)
    means = np.stack([np.where(np.arange(n) < at, 0.6, 0.3), np.full(n, 0.5)], axis=1)
    rewards = (rng.random((n, 2)) < means).astype(float)
    return FullInformationData(
        rng.normal(size=(n, 2)), rewards, ("falls", "stays"), times=START + DAY / 24 * np.arange(n)
    )


def test_a_change_is_said_with_row_time_and_means():
    data = full()
    (change,) = arm_changes(data)
    assert (change.arm, change.kind, change.row) == ("falls", "reward", pytest.approx(800, abs=30))
    assert change.time == START + DAY / 24 * change.row
    assert (change.before, change.after) == pytest.approx(
        (data.rewards[:800, 0].mean(), data.rewards[800:, 0].mean()), abs=0.01
    )
    assert str(change).startswith(f"the mean reward of arm 'falls' changed near row {change.row} (2026-03-0")
    assert str(change).endswith(f"{change.before:.3g} to {change.after:.3g}")


def test_rows_in_any_order_give_the_same_changes():
    data = full()
    order = np.random.default_rng(1).permutation(len(data))
    (change,), (shuffled,) = arm_changes(data), arm_changes(data.subset(order))
    assert order[shuffled.row] == change.row
    assert shuffled.time == change.time


def test_a_log_tells_the_same_change_of_the_arms_it_tried():
    policy = EpsilonGreedy(LinUCB(), epsilon=0.5).fit(full(at=2000))
    log = full().log_with(policy, np.random.default_rng(0))
    assert [change.arm for change in arm_changes(log)] == ["falls"]


def test_a_policy_that_changes_its_mind_changes_no_mean():
    """By context one arm is good, and the log chooses it ever more often there: its plain mean rises."""
    rng = np.random.default_rng(0)
    n = 3000
    good, gap = rng.random(n) < 0.5, np.linspace(0.0, 0.45, n)
    first = np.where(good, 0.5 + gap, 0.5 - gap)
    actions = (rng.random(n) >= first).astype(int)
    rewards = np.where(good == (actions == 0), 1.0, 0.0)
    propensities = np.where(actions == 0, first, 1 - first)
    log = LoggedData(good[:, None], actions, rewards, propensities, ("a", "b"), times=np.arange(n))
    halves = [rewards[:1500][actions[:1500] == 0].mean(), rewards[1500:][actions[1500:] == 0].mean()]
    assert halves[1] > halves[0] + 0.1
    assert arm_changes(log) == ()


def test_arms_that_come_and_go_are_said():
    data = full(at=2000)
    observed = np.ones((1200, 3), bool)
    observed[:700, 2] = False
    observed[1000:, 1] = False
    rewards = np.column_stack([data.rewards, data.rewards[:, 1]])
    part = FullInformationData(data.contexts, rewards, ("a", "old", "new"), observed=observed, times=data.times)
    came, went = arm_changes(part)
    assert (str(came), str(went)) == (
        "arm 'new' is in the data from row 700 (2026-03-02 04:00)",
        "arm 'old' is in the data up to row 999 (2026-03-14 15:00)",
    )
    log = part.log_with(Uniform(), np.random.default_rng(0))
    assert [(change.arm, change.kind) for change in arm_changes(log)] == [("new", "came"), ("old", "went")]
    untold = replace(log, available=None, action_probabilities=None)
    assert [(change.arm, change.kind) for change in arm_changes(untold)] == [("new", "came"), ("old", "went")]


def test_an_arm_missing_here_and_there_neither_comes_nor_goes():
    data = full(at=2000)
    observed = np.random.default_rng(0).random((1200, 2)) < 0.7
    observed[:3] = [[True, False]] * 3
    observed[~observed.any(axis=1)] = True
    assert arm_changes(replace(data, observed=observed, times=np.arange(1200.0))) == ()


def test_compare_says_what_changed_and_what_to_do():
    settings = ComparisonSettings(train_shares=(1.0,), n_bootstrap=20)
    notes = compare(Uniform(), full(), (0,), settings=settings).notes
    assert notes[0] == str(arm_changes(full())[0])
    assert "evaluate_rolling" in notes[1]
    assert not compare(Uniform(), full(at=2000), (0,), settings=settings).notes


def test_compare_says_what_changed_of_the_rewards_that_it_compares():
    """The price falls as the quality does, so that the reward net of it stays."""
    data = replace(full(), costs=full().rewards)
    settings = ComparisonSettings(train_shares=(1.0,), n_bootstrap=20, cost_weight=1.0)
    assert not [note for note in compare(Uniform(), data, (0,), settings=settings).notes if "changed" in note]


def test_more_changes_than_a_reader_wants_are_counted():
    means = np.repeat(np.arange(8) % 2, 200)[:, None] * [1.0, 1.0]
    data = FullInformationData(np.ones((1600, 1)), means, ("a", "b"), times=np.arange(1600))
    changes = arm_changes(data)
    assert [change.row for change in changes] == [row for at in range(200, 1600, 200) for row in (at, at)]
    settings = ComparisonSettings(train_shares=(1.0,), n_bootstrap=20)
    notes = compare(Uniform(), data, (0,), settings=settings).notes
    assert (str(changes[4]), "there are 9 more changes") == notes[4:6]


def test_data_without_times_are_refused():
    with pytest.raises(ValueError, match="arm_changes needs times"):
        arm_changes(example_data())
    with pytest.raises(ValueError, match="error_rate"):
        arm_changes(full(), error_rate=0.0)
