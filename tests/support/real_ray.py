"""Work on a real Ray, started on this machine with two workers: `make test-ray`."""

import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray

from arms import Arm, Observation, Query, RayExecutor, SerialExecutor, pull_all
from arms.executors import Failed
from bandits import BestFixedArm, ComparisonSettings, LinUCB, Uniform, compare
from bandits.testing import example_data
from speculative.collection.collect import PART_SIZE, collect
from speculative.collection.settings import CollectSettings
from speculative.pools.pool import Pool
from tests.support.tiny_pool import plain_costs, queries, save_pool

OBJECT_STORE_BYTES = 80_000_000
QUERIES = [Query(id=f"q{i}", prompt=f"question {i}") for i in range(40)]


class Echo(Arm):
    """Answers with the question; ends its process at one query while a file is there."""

    def __init__(self, name, killer):
        self.name, self.killer = name, killer

    def fingerprint(self):
        return self.name

    def pull(self, query, seed):
        if query.id == "q21" and Path(self.killer).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return Observation(self.name, query.id, query.text, n_tokens=1, seconds=1.0)


def process_of(task):
    """Return the process that ran a task; three ends its own."""
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def lock(task):
    """Return what cannot travel."""
    import threading

    return threading.Lock()


def check_executor(executor):
    """A worker that dies costs its task alone; the others are two processes, neither of them this one."""
    results = list(executor.map(process_of, range(12)))
    assert isinstance(results[3], Failed)
    assert "the Ray worker died" in results[3].reason, results[3]
    alive = {result for i, result in enumerate(results) if i != 3}
    assert os.getpid() not in alive
    assert 2 <= len(alive) <= 3, alive
    [stuck] = executor.map(lock, [0])
    assert "the result cannot travel" in stuck.reason, stuck
    with pytest.raises(TypeError, match="must be picklable"):
        list(executor.map(lock(0), [0]))


def check_pulls(executor, folder):
    """What Ray pulls in parts is what one process pulls, and a job that was cut off goes on."""
    killer = folder / "killer"
    arms = [Echo("a", str(killer)), Echo("b", str(killer))]
    plain = pull_all(arms, QUERIES, executor=SerialExecutor())
    stopped = iter(range(1, 50))

    def stop_after_some(n_done, n_pulls):
        if next(stopped) == 49:
            raise KeyboardInterrupt

    try:
        pull_all(arms, QUERIES, executor=executor, folder=folder / "job", on_progress=stop_after_some)
    except KeyboardInterrupt:
        assert len(list((folder / "job").glob("part-*"))) == 1
    else:
        raise AssertionError("the job was not stopped")
    assert pull_all(arms, QUERIES, executor=executor, folder=folder / "job") == plain
    killer.touch()
    rows = pull_all(arms, QUERIES, executor=executor)
    failed = [observation.query_id for row in rows for observation in row if observation.failure]
    assert failed == ["q21", "q21"], failed


def check_comparison(executor):
    """Ray's workers score as one process does."""
    log = example_data(300).log_with(Uniform(), np.random.default_rng(4))
    policies, quick = {"fixed": BestFixedArm(), "LinUCB": LinUCB()}, ComparisonSettings(n_bootstrap=50)
    plain = compare(policies, log, (0, 1), settings=quick)
    assert compare(policies, log, (0, 1), settings=replace(quick, executor=executor)) == plain


def check_collection(executor, folder):
    """Ray's workers, each with a pool that it loaded, collect what one process collects."""
    asked = queries(2 * PART_SIZE + 3)
    pool, costs = Pool.load(save_pool(folder / "pool")), plain_costs("prompt_lookup", "draft_small")
    plain = collect(asked, pool, folder / "plain", costs)
    spread = collect(asked, pool, folder / "spread", costs, settings=CollectSettings(executor=executor))
    np.testing.assert_array_equal(plain.contexts, spread.contexts)
    for row, other in zip(plain.observations, spread.observations, strict=True):
        assert [(o.arm, o.text, o.n_tokens) for o in row] == [(o.arm, o.text, o.n_tokens) for o in other]


def main():
    """Run all checks: with a Ray of the executor's own, then on one that was there before."""
    assert list(RayExecutor(n_workers=2).map(abs, range(-9, 0))) == list(range(9, 0, -1))
    assert not ray.is_initialized()
    print("a Ray of its own was started and stopped", flush=True)
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
    )
    executor = RayExecutor(n_workers=2)
    check_executor(executor)
    print("a worker that died cost its task alone", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        check_pulls(executor, Path(folder))
        print("a job that was cut off went on", flush=True)
        check_comparison(executor)
        print("a comparison was that of one process", flush=True)
        check_collection(executor, Path(folder))
        print("a collection was that of one process", flush=True)
    assert ray.is_initialized()
    ray.shutdown()
    print("passed")


if __name__ == "__main__":
    main()
