"""Logged data: what is refused, and what survives choosing rows, arms and a trip to disk."""

import numpy as np
import pytest

from bandits import LoggedData

ARMS = ("no_draft", "lookup", "draft")


def log(n=6, **changes):
    rng = np.random.default_rng(0)
    probabilities = np.tile([0.5, 0.3, 0.2], (n, 1))
    actions = np.arange(n) % 3
    fields = {
        "contexts": rng.normal(size=(n, 4)),
        "actions": actions,
        "rewards": rng.normal(size=n),
        "propensities": probabilities[np.arange(n), actions],
        "arm_names": ARMS,
        "action_probabilities": probabilities,
        "available": np.ones((n, 3), bool),
        "costs": rng.random(n),
        "weights": np.ones(n),
        "times": np.arange(n),
        "query_ids": [f"q{i}" for i in range(n)],
        "domains": ["maths", None] * (n // 2),
        "encoder": "hashing-4",
    }
    return LoggedData(**{**fields, **changes})


def spoiled(name, row, value):
    array = np.array(getattr(log(), name))
    array[row] = value
    return {name: array}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (spoiled("rewards", 2, np.nan), r"rewards must be finite: row 2 is nan"),
        (spoiled("propensities", 1, 0.0), r"propensities must be in \(0, 1\]: row 1 is 0.0"),
        (spoiled("propensities", 4, 1.5), r"propensities must be in \(0, 1\]: row 4 is 1.5"),
        (spoiled("propensities", 3, np.nan), r"propensities must be in \(0, 1\]: row 3 is nan"),
        (spoiled("propensities", 3, 0.4), r"agree with action_probabilities: row 3 has 0.4"),
        (spoiled("actions", 5, 3), r"actions must be in \[0, 2\].*row 5 is 3"),
        (spoiled("actions", 0, -1), r"row 0 is -1"),
        (spoiled("available", (2, 2), False), r"row 2 chose 'draft', which was not"),
        (
            spoiled("available", (2, 0), False),
            r"action_probabilities must be 0 where unavailable: row 2, column 0",
        ),
        (spoiled("action_probabilities", (1, 0), 0.9), r"row sums must be 1: row 1"),
        (spoiled("contexts", (3, 1), np.inf), r"contexts must be finite: row 3, column 1 is inf"),
        (spoiled("costs", 1, -0.5), r"costs must be >= 0: row 1 is -0.5"),
        (spoiled("weights", 1, np.nan), r"weights must be finite: row 1"),
        ({"rewards": np.zeros(5)}, r"rewards must have shape \(6\), got \(5,\)"),
        ({"contexts": np.zeros(6)}, r"contexts must have shape \(any, any\)"),
        ({"contexts": None}, r"contexts must be given, got None"),
        ({"contexts": [["1", "x"]] * 6}, r"contexts must be real numbers.*row 0 is \['1', 'x'\]"),
        ({"contexts": [[1, 2]] * 4 + [[1], [1, 2]]}, r"contexts must be.*row 4 has shape \(1,\), .*before it \(2,\)"),
        ({"rewards": [1, 0, 1, "good", 0, 1]}, r"rewards must be real numbers.*row 3 is 'good'"),
        ({"rewards": [1, 0, 1j, 0, 0, 1]}, r"rewards must be real numbers.*row 2 is 1j"),
        ({"propensities": "half"}, r"propensities must be real numbers.*got 'half'"),
        ({"arm_names": ("a", "a", "b")}, r"'a' twice"),
        ({"arm_names": ()}, r"at least one name"),
        ({"query_ids": ["q"]}, r"query_ids must have 6 entries"),
    ],
)
def test_bad_rows_are_refused_by_name_row_and_value(changes, message):
    with pytest.raises(ValueError, match=message):
        log(**changes)


def test_actions_must_be_integers():
    with pytest.raises(TypeError, match="indices into arm_names"):
        log(actions=np.zeros(6))


def test_an_empty_log_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        LoggedData(np.zeros((0, 2)), np.zeros(0, int), [], [], ARMS)


def test_arrays_are_read_only_and_the_callers_stay_writeable():
    rewards = np.zeros(6)
    data = log(rewards=rewards)
    with pytest.raises(ValueError, match="read-only"):
        data.rewards[0] = 1
    rewards[0] = 1


def equal(left, right):
    for name in (
        "contexts",
        "actions",
        "rewards",
        "propensities",
        "action_probabilities",
        "costs",
        "weights",
        "times",
    ):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    assert (left.arm_names, left.query_ids, left.domains, left.encoder) == (
        right.arm_names,
        right.query_ids,
        right.domains,
        right.encoder,
    )


def test_saved_log_comes_back(tmp_path):
    data = log()
    data.save(tmp_path / "log")
    equal(LoggedData.load(tmp_path / "log"), data)


def test_a_bare_log_comes_back(tmp_path):
    data = LoggedData(np.zeros((2, 1)), [0, 1], [1.0, 2.0], [0.5, 0.5], ("a", "b"))
    data.save(tmp_path)
    loaded = LoggedData.load(tmp_path)
    assert loaded.available is None
    assert loaded.query_ids is None
    np.testing.assert_array_equal(loaded.actions, [0, 1])


def test_parts_are_one_log(tmp_path):
    data = log()
    data.subset([0, 1, 2]).write_part(tmp_path, 0)
    data.subset(np.arange(6) >= 3).write_part(tmp_path, 1)
    LoggedData.close_folder(tmp_path)
    equal(LoggedData.load(tmp_path), data)
    assert [len(part) for part in LoggedData.stream(tmp_path)] == [3, 3]


def test_with_arms_counts_actions_by_name():
    data = log()
    other = data.with_arms(("draft", "extra", "no_draft", "lookup"))
    assert [other.arm_names[a] for a in other.actions] == [data.arm_names[a] for a in data.actions]
    assert not other.available[:, 1].any()
    np.testing.assert_array_equal(other.action_probabilities[:, 0], data.action_probabilities[:, 2])
    with pytest.raises(ValueError, match=r"hold arm 'draft'.*select_arms"):
        data.with_arms(("no_draft", "lookup"))


def test_select_arms_drops_the_rows_of_other_arms():
    data = log()
    kept = data.select_arms(("draft", "no_draft"))
    assert kept.query_ids == ("q0", "q2", "q3", "q5")
    assert [kept.arm_names[a] for a in kept.actions] == ["no_draft", "draft"] * 2
    with pytest.raises(ValueError, match="no row"):
        data.select_arms(("nobody",))


def test_concat_joins_arms_by_name_and_refuses_half_present_columns():
    data = log()
    joined = LoggedData.concat([data, data.with_arms(("draft", "no_draft", "lookup", "new"))])
    assert joined.arm_names == ("no_draft", "lookup", "draft", "new")
    np.testing.assert_array_equal(joined.actions[:6], joined.actions[6:])
    with pytest.raises(ValueError, match="all have costs or none"):
        LoggedData.concat([data, log(costs=None)])
    with pytest.raises(ValueError, match="encoder"):
        LoggedData.concat([data, log(encoder="other")])
    with pytest.raises(ValueError, match="context size"):
        LoggedData.concat([data, log(contexts=np.zeros((6, 2)))])
    with pytest.raises(ValueError, match="at least one part"):
        LoggedData.concat([])


def test_subset_refuses_nothing_and_rows_outside():
    with pytest.raises(ValueError, match="at least one row"):
        log().subset(np.zeros(6, bool))
    with pytest.raises(ValueError, match="below 6"):
        log().subset([6])
    with pytest.raises(TypeError, match="mask or a list"):
        log().subset([0.5])


def test_wrong_types_are_named():
    with pytest.raises(TypeError, match="single string 'abc'"):
        log(arm_names="abc")
    with pytest.raises(TypeError, match="available must be boolean"):
        log(available=np.ones((6, 3)))
    with pytest.raises(TypeError, match="domains must be strings or None: row 0 is 3"):
        log(domains=[3] * 6)
    with pytest.raises(ValueError, match=r"action_probabilities must be in \[0, 1\]: row 0, column 1 is -0.3"):
        log(**spoiled("action_probabilities", (0, 1), -0.3))
