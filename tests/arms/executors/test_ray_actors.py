import subprocess
import sys

import pytest

from arms.executors import Failed, RayExecutor
from tests.support.fake_ray import Died, FakeRay


def square(x):
    return x * x


def odd_ones_raise(x):
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


def three_ends_its_actor(x):
    if x == 3:
        raise Died
    return x


@pytest.fixture
def start(monkeypatch):
    def put_in_place(**how):
        ray = FakeRay(**how)
        monkeypatch.setitem(sys.modules, "ray", ray)
        return ray

    return put_in_place


@pytest.mark.parametrize("n_workers", [1, 2, None])
def test_results_come_in_the_order_of_the_tasks(start, n_workers):
    ray = start()
    assert list(RayExecutor(n_workers=n_workers).map(square, range(23))) == [x * x for x in range(23)]
    assert len(ray.actors) == (n_workers or 3)
    assert all(actor.killed for actor in ray.actors)


def test_no_more_actors_are_started_than_there_are_tasks(start):
    ray = start()
    assert list(RayExecutor(n_workers=3).map(square, [2])) == [4]
    assert len(ray.actors) == 1
    assert list(RayExecutor(n_workers=3).map(square, [])) == []


def test_a_cluster_with_room_for_one_worker_works_with_one(start):
    start(room=1)
    assert list(RayExecutor(n_workers=3).map(square, range(9))) == [x * x for x in range(9)]


def test_a_task_that_raises_costs_only_its_own_result(start):
    start()
    results = list(RayExecutor(n_workers=2).map(odd_ones_raise, range(6)))
    assert results[::2] == [0, 2, 4]
    assert [result.reason for result in results[1::2]] == [f"ValueError: {x} is odd" for x in (1, 3, 5)]


def test_a_worker_that_dies_costs_only_its_own_task(start):
    ray = start()
    results = list(RayExecutor(n_workers=2).map(three_ends_its_actor, range(8)))
    assert results[3].reason == "the Ray worker died (RayActorError: The actor died)"
    assert [result for result in results if not isinstance(result, Failed)] == [0, 1, 2, 4, 5, 6, 7]
    assert len(ray.actors) == 3


def test_tasks_are_read_ahead_by_a_few_only(start):
    ray = start()
    n_read = 0

    def tasks():
        nonlocal n_read
        while n_read < 1000:
            n_read += 1
            yield n_read

    results = RayExecutor(n_workers=2).map(square, tasks())
    assert next(results) == 1
    assert n_read < 20
    results.close()
    assert all(actor.killed for actor in ray.actors)
    assert not ray.connected


def test_a_worker_that_cannot_begin_is_an_error(start):
    start(faulty_start=True)
    with pytest.raises(RuntimeError, match=r"ended before it could begin .*: install draftpick, and what the function"):
        list(RayExecutor(n_workers=1).map(square, [1]))


@pytest.mark.parametrize(
    ("cluster", "gpus", "told"),
    [
        ({"n_gpus": 0}, 1.0, "needs 1 GPU, and the Ray cluster has 0"),
        ({"n_gpus": 1}, 1.5, "needs 1.5 GPU, and the Ray cluster has 1"),
        ({"n_cpus": 0}, 0.0, "needs 1 CPU, and the Ray cluster has 0"),
    ],
)
def test_a_cluster_that_can_never_begin_a_worker_is_an_error(start, cluster, gpus, told):
    ray = start(**cluster)
    with pytest.raises(RuntimeError, match=told):
        list(RayExecutor(gpus_per_worker=gpus).map(square, [1]))
    assert not ray.actors
    assert not ray.connected


def test_what_cannot_travel_to_a_worker_is_rejected(start):
    start()
    unpicklable = type("Unpicklable", (), {"unpicklable": True})()
    with pytest.raises(TypeError, match=r"must be picklable \(TypeError: cannot pickle it\)"):
        list(RayExecutor(n_workers=1).map(square, [unpicklable]))


def test_a_connection_of_the_callers_is_left_open(start):
    ray = start(connected=True)
    assert list(RayExecutor("ray://head:10001").map(square, [3])) == [9]
    assert ray.connected
    assert ray.options is None


def test_the_address_given_is_connected_to(start):
    ray = start()
    assert list(RayExecutor("ray://head:10001", gpus_per_worker=0.5).map(square, [3])) == [9]
    assert ray.options["address"] == "ray://head:10001"
    assert ray.actor_options == {"num_cpus": 1, "num_gpus": 0.5}
    assert not ray.connected


def test_an_address_where_no_cluster_answers_is_named(start):
    start(absent=True)
    with pytest.raises(ConnectionError, match=r"no Ray cluster answers at ray://head:10001 \(.*timeout\): start one"):
        list(RayExecutor("ray://head:10001").map(square, [3]))


def test_a_cluster_that_goes_away_is_told_and_its_workers_are_not_asked_to_end(start):
    ray = start(lost=True)
    with pytest.raises(ConnectionError, match=r"the Ray cluster went away \(.*shutting down\): begin again"):
        list(RayExecutor("ray://head:10001").map(square, [3]))
    assert not any(actor.killed for actor in ray.actors)


@pytest.mark.parametrize("address", ["", "head", "ray://", "ray://head"])
def test_an_address_without_host_and_port_is_rejected(address):
    with pytest.raises(ValueError, match=r'address must be "local" or "ray://host:port"'):
        RayExecutor(address)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install '.\[ray\]'"):
        list(RayExecutor().map(square, [1]))


def test_ray_is_imported_by_map_alone():
    code = "import sys; from arms import RayExecutor; RayExecutor(); assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
