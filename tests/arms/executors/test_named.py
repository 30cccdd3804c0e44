import pytest

from arms.executors import ProcessExecutor, RayExecutor, SerialExecutor, ThreadExecutor, executor_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("serial", SerialExecutor),
        ("threads", ThreadExecutor),
        ("processes", ProcessExecutor),
        ("ray", RayExecutor),
        ("ray://head:10001", RayExecutor),
    ],
)
def test_a_name_gives_its_executor(name, kind):
    assert type(executor_of(name)) is kind


def test_the_number_of_workers_is_passed_on():
    assert executor_of("processes", 3).n_processes == 3
    assert executor_of("threads", 3).n_threads == 3
    assert executor_of("ray", 3).n_workers == 3
    assert executor_of("ray://head:10001", 3).address == "ray://head:10001"
    with pytest.raises(ValueError, match="n_workers must be 1 for the executor serial, got 3"):
        executor_of("serial", 3)


def test_an_unknown_name_is_rejected_with_the_names_there_are():
    with pytest.raises(ValueError, match="executor must be one of serial, threads, processes, ray, ray://host:port"):
        executor_of("dask")
