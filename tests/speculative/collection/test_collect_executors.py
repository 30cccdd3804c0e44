"""Collection by workers: the data of one process, from a pool that each worker loads anew."""

import pickle
import shutil

import numpy as np
import pytest
import torch

from arms import Executor, SerialExecutor, ThreadExecutor
from arms.executors import Failed
from speculative.collection.collect import PART_SIZE, collect
from speculative.collection.settings import CollectSettings
from speculative.pools.pool import Pool
from tests.support.tiny_pool import POOL, plain_costs, queries, save_pool

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


def by(executor, threads=None):
    return CollectSettings(executor=executor, threads=threads)


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
    with pytest.raises(RuntimeError, match=r"the part of queries '.*' to '.*' failed: the worker died; what was"):
        collect(queries(N), pool, tmp_path / "job", COSTS, settings=by(Travelling(n_until_death=1)))
    assert len(list((tmp_path / "job" / "traces").glob("part-*"))) == 1
    again = collect(queries(N), pool, tmp_path / "job", COSTS)  # the executor is no part of what is collected
    check_same(again, collect(queries(N), pool, tmp_path / "plain", COSTS))


def test_a_worker_that_loads_another_target_is_refused(tmp_path):
    pool = Pool.load(save_pool(tmp_path / "pool"))
    save_pool(tmp_path / "pool", template="{{ messages[0].content }}")
    with pytest.raises(RuntimeError, match="ValueError: this worker loaded another target"):
        collect(queries(2), pool, tmp_path / "job", COSTS, settings=by(Travelling()))


def test_a_worker_that_loads_another_draft_is_refused_by_the_name_of_its_arm(tmp_path):
    pool = Pool.load(save_pool(tmp_path / "pool"))
    weights = tmp_path / "pool" / "small" / "model.safetensors"
    shutil.copy(tmp_path / "pool" / "target" / weights.name, tmp_path / "other")
    (tmp_path / "other").replace(weights)
    with pytest.raises(RuntimeError, match="ValueError: this worker loaded another arm draft_small_2 than the process"):
        collect(queries(2), pool, tmp_path / "job", COSTS, settings=by(Travelling()))


def test_workers_stop_drafts_by_the_costs_of_the_one_that_asks(tmp_path, monkeypatch):
    auto = '\n[[arms]]\nkind = "draft_model"\nmodel = "small"\ndraft_length = 4\nmin_confidence = "auto"\n'
    file = save_pool(tmp_path / "pool", pool=POOL + auto)
    names = ("prompt_lookup", "draft_small", "draft_small_confident_auto")
    monkeypatch.setattr("speculative.pools.pool.cached_costs", lambda *given: plain_costs(*names))
    pool = Pool.load(file)
    monkeypatch.setattr("speculative.pools.pool.cached_costs", lambda *given: plain_costs(*names, token_s=0.4))
    arrived = pickle.loads(pickle.dumps(pool))
    assert 0.0 < pool.drafts[-1].min_confidence == arrived.drafts[-1].min_confidence < 1.0
    costs = plain_costs(*names)
    plain = collect(queries(3), pool, tmp_path / "plain", costs)
    check_same(collect(queries(3), pool, tmp_path / "spread", costs, settings=by(Travelling())), plain)


def test_workers_have_the_threads_asked_for_before_they_load_models(pool, tmp_path, monkeypatch):
    done, load = [], Pool.of.__func__

    def of(cls, *given):
        done.append("load")
        return load(cls, *given)

    monkeypatch.setattr(torch, "set_num_threads", done.append)
    monkeypatch.setattr(Pool, "of", classmethod(of))
    collect(queries(2), pool, tmp_path / "three", COSTS, settings=by(Travelling(), threads=3))
    collect(queries(2), pool, tmp_path / "own", COSTS, settings=by(Travelling()))
    assert done == [3, "load", "load"]


def test_threads_which_would_share_one_pool_are_refused():
    with pytest.raises(ValueError, match="must give each worker a pool of its own, got threads"):
        by(ThreadExecutor(2))


def test_a_pool_of_loaded_objects_does_not_travel(pool):
    own = Pool(pool.target, pool.arms, encoder=pool.encoder)
    with pytest.raises(TypeError, match="a pool of loaded objects cannot travel to other workers"):
        pickle.dumps(own)
