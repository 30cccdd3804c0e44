"""Collection by workers: the data of one process, from a pool that each worker loads anew."""

import pickle

import numpy as np
import pytest

from arms import Executor, SerialExecutor
from arms.executors import Failed
from speculative.collection.collect import PART_SIZE, collect
from speculative.collection.settings import CollectSettings
from speculative.pools.pool import Pool
from tests.support.tiny_pool import plain_costs, queries, save_pool

COSTS = plain_costs("prompt_lookup", "draft_small")
N = PART_SIZE + 3


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool.load(save_pool(tmp_path_factory.mktemp("pool")))


class Travelling(Executor):
    """Runs tasks in turn; function and tasks travel as they would to another process, the function once."""

    def __init__(self, n_until_death=99):
        self.n_until_death = n_until_death

    def map(self, function, tasks):
        arrived = pickle.loads(pickle.dumps(function))
        for number, task in enumerate(tasks):
            if number == self.n_until_death:
                yield Failed("the worker died", 0.0)
            yield from SerialExecutor().map(arrived, [pickle.loads(pickle.dumps(task))])


def by(executor):
    return CollectSettings(executor=executor)


def check_same(data, other):
    assert data.query_ids == other.query_ids
    assert data.arm_names == other.arm_names
    np.testing.assert_array_equal(data.contexts, other.contexts)
    for row, other_row in zip(data.observations, other.observations, strict=True):
        assert [o.text for o in row] == [o.text for o in other_row]
        assert [o.n_tokens for o in row] == [o.n_tokens for o in other_row]


def test_workers_that_load_the_pool_collect_what_one_process_collects(pool, tmp_path):
    plain = collect(queries(N), pool, tmp_path / "plain", COSTS)
    check_same(collect(queries(N), pool, tmp_path / "spread", COSTS, settings=by(Travelling())), plain)


def test_a_worker_that_dies_ends_the_run_which_goes_on_with_the_parts_written(pool, tmp_path):
    with pytest.raises(RuntimeError, match=r"the queries '.*' to '.*' could not be traced: the worker died; what was"):
        collect(queries(N), pool, tmp_path / "job", COSTS, settings=by(Travelling(n_until_death=1)))
    assert len(list((tmp_path / "job" / "traces").glob("part-*"))) == 1
    again = collect(queries(N), pool, tmp_path / "job", COSTS)  # the executor is no part of what is collected
    check_same(again, collect(queries(N), pool, tmp_path / "plain", COSTS))


def test_a_worker_that_loads_another_target_is_refused(tmp_path):
    pool = Pool.load(save_pool(tmp_path / "pool"))
    save_pool(tmp_path / "pool", template="{{ messages[0].content }}")
    with pytest.raises(RuntimeError, match="ValueError: this worker loaded another target"):
        collect(queries(2), pool, tmp_path / "job", COSTS, settings=by(Travelling()))


def test_a_pool_of_loaded_objects_does_not_travel(pool):
    own = Pool(pool.target, pool.arms, encoder=pool.encoder)
    with pytest.raises(TypeError, match="a pool of loaded objects cannot travel to other workers"):
        pickle.dumps(own)
