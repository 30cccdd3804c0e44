"""Arrays as people have them are read rightly or refused: masked, sparse, of moments, of large numbers."""

import numpy as np
import pytest

from bandits import FullInformationData, HashingEncoder, LinUCB, LoggedData, from_long_table


class TestArrays:
    def log(self, **changes):
        given = {
            "contexts": np.ones((4, 1)),
            "actions": np.array([0, 1, 0, 1]),
            "rewards": np.ones(4),
            "propensities": np.full(4, 0.5),
            "arm_names": ("a", "b"),
        }
        return LoggedData(**given | changes)

    @pytest.mark.parametrize("name", ["contexts", "actions", "rewards", "propensities", "times", "costs"])
    def test_masked_entries_are_never_read(self, name):
        values = np.ones((4, 1)) if name == "contexts" else np.ones(4, np.int64)
        mask = np.arange(4).reshape(values.shape) == 1
        with pytest.raises(ValueError, match=f"{name} must hold no masked entries, got 1"):
            self.log(**{name: np.ma.masked_array(values, mask)})
        self.log(**{name: np.ma.masked_array(values, False)})

    def test_masked_entries_are_not_read_wherever_an_array_is_asked_for(self):
        hidden = np.ma.masked_array([1.0, -999.0], [False, True])
        with pytest.raises(ValueError, match="contexts must hold no masked entries, got 4"):
            self.log(contexts=[hidden] * 4)
        with pytest.raises(ValueError, match="rewards must hold no masked entries, got 1"):
            self.log(rewards=[1.0, np.ma.masked, 1.0, 1.0])
        moments = np.ma.masked_array(np.zeros(4, "datetime64[s]"), [0, 1, 0, 0])
        with pytest.raises(ValueError, match="times must hold no masked entries"):
            self.log(times=moments)
        with pytest.raises(ValueError, match="rows must hold no masked entries"):
            self.log().subset(np.ma.masked_array([True] * 4, [0, 1, 0, 0]))
        with pytest.raises(ValueError, match="actions must hold no masked entries"):
            LinUCB().fit(np.ones((2, 1)), np.ma.masked_array(["a", "b"], [0, 1]), np.ones(2))
        policy = LinUCB().fit(np.ones((2, 2)), ["a", "b"], np.ones(2))
        with pytest.raises(ValueError, match="context must hold no masked entries"):
            policy.choose(hidden, np.random.default_rng(0))

    @pytest.mark.parametrize("name", ["arm_names", "query_ids", "domains"])
    def test_a_set_has_no_order(self, name):
        with pytest.raises(TypeError, match=f"{name} must have an order, got a set"):
            self.log(**{name: {"a", "b", "c", "d"}})

    def test_a_set_of_texts_has_no_order(self):
        with pytest.raises(TypeError, match="texts must have an order, got a set"):
            HashingEncoder(8).encode({"a", "b"})
        with pytest.raises(ValueError, match="column 'arm' must have an order, got a set"):
            from_long_table({"arm": {"a", "b"}, "reward": [1.0, 0.0]})

    def test_moments_are_seconds(self):
        moments = np.array(["1970-01-01", "1970-01-02", "1970-01-03", "1970-01-04"], "datetime64[ns]")
        assert self.log(times=moments).times.tolist() == [0.0, 86_400.0, 172_800.0, 259_200.0]
        with pytest.raises(ValueError, match="times must be finite: row 1"):
            self.log(times=np.array(["1970-01-01", "NaT", "1970-01-01", "1970-01-01"], "datetime64[s]"))
        with pytest.raises(TypeError, match="rewards must be numbers, got datetime64"):
            self.log(rewards=moments)

    @pytest.mark.parametrize("dtype", [np.float64, np.int64])
    def test_times_since_1970_that_float32_cannot_tell_apart_are_refused(self, dtype):
        seconds = (1_790_000_000 + np.arange(4)[:, None] * 90).astype(dtype)
        with pytest.raises(
            ValueError, match=r"contexts, column 0: float32 cannot tell all values from 17900000\d\d to"
        ):
            self.log(contexts=seconds)

    @pytest.mark.parametrize(("start", "step"), [(497_000.0, 1 / 60), (20_700.0, 1 / 1440), (4096.0, 1e-4)])
    def test_hours_and_days_since_1970_that_float32_cannot_tell_apart_are_refused(self, start, step):
        with pytest.raises(ValueError, match=r"contexts, column 0: float32 cannot tell all values from \d+"):
            self.log(contexts=start + np.arange(4)[:, None] * step)
        self.log(contexts=start + np.arange(4)[:, None] / 2)

    def test_measured_values_between_which_float32_has_many_numbers_are_read(self):
        pressures = np.random.default_rng(0).uniform(950, 1050, (5000, 1))
        LoggedData(pressures, np.zeros(5000, np.int64), np.zeros(5000), np.ones(5000), ("a",))
        assert len(np.unique(pressures.astype(np.float32))) < 5000

    def test_large_values_that_differ_enough_are_read(self):
        self.log(contexts=np.array([[1.7e9], [1.75e9], [1.8e9], [1.79e9]]))
        self.log(contexts=np.full((4, 1), 1.79e9))

    def test_one_row_far_from_the_others_hides_no_times_that_float32_cannot_tell_apart(self):
        times = [[0.0], [1.79e9], [1.79e9 + 1], [1.79e9 + 2]]
        for make in (
            lambda: self.log(contexts=times),
            lambda: FullInformationData(times, np.zeros((4, 2)), ("a", "b")),
            lambda: LinUCB().fit(times, [0, 1, 0, 1], np.zeros(4)),
            lambda: from_long_table({"arm": list("abab"), "reward": [0.0] * 4, "context_0": [row[0] for row in times]}),
        ):
            with pytest.raises(ValueError, match="contexts, column 0: float32 cannot tell all values from 0 to"):
                make()

    def test_an_answer_does_not_depend_on_the_other_rows_asked_about(self):
        policy = LinUCB().fit([[0.0], [1e9], [5e8], [3e8]], [0, 1, 0, 1], [1.0, 0.0, 1.0, 0.0])
        rows = [[1e9], [1e9 + 1]]
        alone = np.concatenate([policy.probabilities([row]) for row in rows])
        np.testing.assert_array_equal(policy.probabilities(rows), alone)

    def test_infinite_contexts_are_one_error(self):
        with pytest.raises(ValueError, match="contexts must be finite: row 0, column 0 is inf"):
            self.log(contexts=np.full((4, 1), np.inf))

    def test_sparse_contexts_say_how_to_be_dense(self):
        sparse = pytest.importorskip("scipy.sparse")
        with pytest.raises(TypeError, match=r"must be a dense array, got a sparse csr_array: pass .toarray\(\)"):
            self.log(contexts=sparse.csr_array(np.ones((4, 1))))


def test_an_integer_beyond_float64_is_refused_by_its_row():
    contexts, actions, rewards, propensities = np.ones((2, 3)), [0, 1], [1.0, 0.0], [0.5, 0.5]
    with pytest.raises(ValueError, match="rewards must be real numbers, as many in each row: row 1 is 1000"):
        LoggedData(contexts, actions, [1.0, 10**400], propensities, ("a", "b"))
    log = LoggedData(contexts, actions, rewards, propensities, ("a", "b"))
    with pytest.raises(ValueError, match="contexts must be real numbers, as many in each row: row 0 is \\[1000"):
        LinUCB().fit(log).probabilities([[10**400, 1, 2]])
