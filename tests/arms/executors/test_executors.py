import os
import signal
import subprocess
import sys
import threading

import pytest

from arms.executors import Failed, ProcessExecutor, SerialExecutor, ThreadExecutor

EXECUTORS = [SerialExecutor(), ThreadExecutor(3), ProcessExecutor(2)]


def square(x):
    return x * x


def odd_ones_raise(x):
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


def three_kills_its_process(x):
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def unpicklable(x):
    return lambda: x


@pytest.fixture(params=EXECUTORS, ids=lambda executor: type(executor).__name__)
def executor(request):
    return request.param


def test_results_come_in_the_order_of_the_tasks(executor):
    assert list(executor.map(square, range(23))) == [x * x for x in range(23)]
    assert list(executor.map(square, [])) == []


def test_a_task_that_raises_costs_only_its_own_result(executor):
    results = list(executor.map(odd_ones_raise, range(6)))
    assert results[::2] == [0, 2, 4]
    assert [result.reason for result in results[1::2]] == [f"ValueError: {x} is odd" for x in (1, 3, 5)]
    assert all(result.seconds >= 0 for result in results[1::2])


def test_tasks_are_read_ahead_by_a_few_only(executor):
    n_read = 0

    def tasks():
        nonlocal n_read
        while n_read < 1000:
            n_read += 1
            yield n_read

    results = executor.map(square, tasks())
    assert next(results) == 1
    assert n_read < 20
    results.close()


def test_a_worker_that_dies_costs_only_its_own_task():
    results = list(ProcessExecutor(2).map(three_kills_its_process, range(8)))
    assert results[3].reason == "the worker process died (exit code -9)"
    assert [result for result in results if not isinstance(result, Failed)] == [0, 1, 2, 4, 5, 6, 7]


def test_a_result_that_cannot_travel_is_a_failed_task():
    [result] = ProcessExecutor(1).map(unpicklable, [1])
    assert result.reason.startswith("the result cannot be pickled (")


def test_what_cannot_travel_to_a_worker_is_rejected():
    with pytest.raises(TypeError, match=r"must be picklable .*: define functions and classes at a module's top level"):
        list(ProcessExecutor(1).map(lambda x: x, [1]))
    with pytest.raises(TypeError, match="must be picklable"):
        list(ProcessExecutor(1).map(square, [lambda: 1]))


def test_threads_run_at_once():
    barrier = threading.Barrier(3, timeout=30)
    assert len(list(ThreadExecutor(3).map(lambda _: barrier.wait(), range(3)))) == 3


UNGUARDED = """
from arms.executors import ProcessExecutor

def square(x):
    return x * x

print(list(ProcessExecutor(1).map(square, [1, 2])))
"""


def test_an_unguarded_script_gets_one_clear_error(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "RuntimeError: a worker process ended before it could begin (exit code 1" in ended.stderr
    assert "guard the script with `if __name__ == '__main__':`" in ended.stderr
    script.write_text(UNGUARDED.replace("print", "if __name__ == '__main__':\n    print"))
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout == "[1, 4]\n"


@pytest.mark.parametrize("make", [ThreadExecutor, ProcessExecutor])
@pytest.mark.parametrize("n", [0, -1, 1.0, True])
def test_workers_are_at_least_one(make, n):
    with pytest.raises(ValueError, match=r"n_(threads|processes) must be an integer >= 1"):
        make(n)
