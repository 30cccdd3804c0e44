"""Observations of pulls become data: the encoder makes contexts, the reward makes rewards, seconds are costs."""

import numpy as np
import pytest

from arms import Observation, Query
from bandits import FullInformationData, HashingEncoder
from rewards import OnFailure, Reward

ENCODER = HashingEncoder(8)
QUERIES = [Query(id="q0", prompt="one", domain="x"), Query(id="q1", prompt="two"), Query(id="q2", prompt="one")]


class Haste(Reward):
    bounds = (0.0, 1.0)

    def _value(self, observation):
        if observation.seconds == 0:
            raise ValueError("seconds must be above zero")
        return min(1.0, 1 / observation.seconds)


class Seconds(Reward):
    bounds = (0.0, float("inf"))

    def _value(self, observation):
        return observation.seconds


def pull(arm, query, seconds):
    return Observation(arm=arm, query_id=query, text="t", n_tokens=1, seconds=seconds)


def rows(k=2):
    return [[pull(f"arm_{a}", query.id, 1.0 + a + i) for a in range(k)] for i, query in enumerate(QUERIES)]


def data(observations, **changes):
    return FullInformationData.from_observations(QUERIES, observations, encoder=ENCODER, reward=Haste(), **changes)


def test_every_cell_is_the_observations_own():
    made = data(rows())
    assert made.arm_names == ("arm_0", "arm_1")
    np.testing.assert_array_equal(made.contexts, ENCODER.encode(["one", "two", "one"]))
    np.testing.assert_array_equal(made.costs, [[1, 2], [2, 3], [3, 4]])
    np.testing.assert_array_equal(made.rewards, 1 / made.costs)
    assert made.query_ids == ("q0", "q1", "q2")
    assert made.domains == ("x", None, None)
    assert made.encoder == ENCODER.name
    assert made.observed is None
    assert made.observations == tuple(map(tuple, rows()))


def test_an_arm_that_was_not_pulled_is_unobserved():
    some = rows()
    some[0][0] = some[2][1] = None
    made = data(some)
    np.testing.assert_array_equal(made.observed, [[False, True], [True, True], [True, False]])
    assert np.isnan(made.rewards[0, 0])
    assert np.isnan(made.costs[2, 1])


def test_it_is_the_data_that_another_reward_gives():
    some = rows()
    some[1][0] = None
    made = data(some)
    again = FullInformationData.from_observations(QUERIES, some, encoder=ENCODER, reward=Seconds())
    np.testing.assert_array_equal(made.with_reward(Seconds()).rewards, again.rewards)


def test_names_of_arms_are_needed_where_an_arm_was_never_pulled():
    some = [[row[0], None] for row in rows()]
    with pytest.raises(ValueError, match="column 1 of the observations must hold at least one, or arm_names"):
        data(some)
    assert data(some, arm_names=("arm_0", "late")).observed[:, 1].sum() == 0
    with pytest.raises(ValueError, match="one of 'arm_0' under 'other'"):
        data(some, arm_names=("other", "late"))


def test_contexts_that_were_made_already_are_taken():
    contexts = np.arange(24.0).reshape(3, 8)
    np.testing.assert_array_equal(data(rows(), contexts=contexts).contexts, contexts)
    with pytest.raises(ValueError, match=r"contexts must have shape \(3, any\), got \(2, 8\)"):
        data(rows(), contexts=contexts[:2])


def test_a_reward_that_refuses_is_told_with_query_and_arm():
    some = rows()
    some[1][1] = pull("arm_1", "q1", 0.0)
    with pytest.raises(ValueError, match=r"^observation of arm 'arm_1' on query 'q1': seconds must be above zero"):
        data(some)


def test_the_reward_decides_what_a_failed_pull_is_worth():
    some = rows()
    some[1][1] = Observation.failed("arm_1", "q1", "timed out", seconds=9.0)
    with pytest.raises(
        ValueError,
        match=r"^Haste cannot value the observation of arm 'arm_1' on query 'q1': the pull failed \(timed out\)",
    ):
        data(some)
    made = FullInformationData.from_observations(QUERIES, some, encoder=ENCODER, reward=OnFailure(Haste(), 0.0))
    assert made.rewards[1, 1] == 0.0
    assert made.costs[1, 1] == 9.0
    assert made.observed is None


@pytest.mark.parametrize(
    ("observations", "message"),
    [
        (rows()[:2], "a row a query, got 2 rows for 3 queries"),
        ([rows()[0], rows()[1][:1], rows()[2]], "query 'q1' must have 2 observations .*got 1"),
        ([rows()[0], rows()[2], rows()[1]], "the row of query 'q1' holds the observation of arm 'arm_0' on query 'q2'"),
        ([rows()[0], [None, None], rows()[2]], "observations must leave at least one arm: row 1 has none"),
        ([], "columns of the observations must hold at least one"),
    ],
)
def test_rows_that_do_not_fit_are_refused(observations, message):
    with pytest.raises(ValueError, match=message):
        data(observations)
