"""Contexts given as data frames mean their columns by name: another order is refused, not read by position."""

import numpy as np
import pandas as pd
import pytest

from bandits import LinUCB, LoggedData, load_policy

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(RNG.normal(size=(30, 3)), columns=["length", "load", "hour"])
ACTIONS, REWARDS = RNG.integers(2, size=30), RNG.normal(size=30)
OTHER_ORDER = FRAME[["load", "length", "hour"]]


@pytest.fixture
def policy():
    return LinUCB().fit(FRAME, ACTIONS, REWARDS, propensities=np.full(30, 0.5))


def test_another_order_of_columns_is_refused_wherever_contexts_are_given(policy, tmp_path):
    named = "the columns length, load, hour"
    with pytest.raises(ValueError, match=f"{named}.*the columns load, length, hour"):
        policy.probabilities(OTHER_ORDER)
    with pytest.raises(ValueError, match=named):
        policy.choose(OTHER_ORDER.iloc[0], RNG)
    with pytest.raises(ValueError, match=named):
        policy.update(OTHER_ORDER, ACTIONS, REWARDS)
    with pytest.raises(ValueError, match=named):
        policy.update(LoggedData(OTHER_ORDER, ACTIONS, REWARDS, np.full(30, 0.5), ("0", "1")))
    policy.save(tmp_path / "policy")
    with pytest.raises(ValueError, match=named):
        load_policy(tmp_path / "policy").predict(OTHER_ORDER)


def test_the_same_columns_and_plain_arrays_are_read(policy):
    expected = policy.probabilities(FRAME.to_numpy())
    np.testing.assert_array_equal(policy.probabilities(FRAME), expected)
    policy.choose(FRAME.iloc[0], RNG)
    policy.update(FRAME, ACTIONS, REWARDS)


def test_a_row_of_a_frame_is_read_by_its_labels_alone(policy):
    class Row(pd.Series):
        def to_frame(self, *_):
            raise AssertionError("a frame was built")

    expected = policy.choose(FRAME.iloc[0].to_numpy(), np.random.default_rng(1))
    assert policy.choose(Row(FRAME.iloc[0]), np.random.default_rng(1)) == expected
    with pytest.raises(ValueError, match="the columns length, load, hour"):
        policy.choose(Row(OTHER_ORDER.iloc[0]), RNG)


def test_a_row_of_a_library_whose_frames_cannot_be_transposed_is_an_array(policy):
    class Series:
        dtype, values = "f64", FRAME.iloc[0].to_numpy()

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.values, dtype=dtype)

        def to_frame(self):
            return self

    assert policy.choose(Series(), np.random.default_rng(1)).arm in ("0", "1")


def test_a_frame_without_names_is_a_plain_array():
    policy = LinUCB().fit(pd.DataFrame(FRAME.to_numpy()), ACTIONS, REWARDS)
    assert policy.state.encoder is None
    policy.probabilities(OTHER_ORDER)
