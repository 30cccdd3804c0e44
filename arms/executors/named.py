"""An executor by the name that a command line gives it."""

from __future__ import annotations

from arms.checks import at_least
from arms.executors.executor import Executor
from arms.executors.processes import ProcessExecutor
from arms.executors.ray_actors import RayExecutor
from arms.executors.serial import SerialExecutor
from arms.executors.threads import ThreadExecutor

EXECUTORS = ("serial", "threads", "processes", "ray", "ray://host:port")


def executor_of(name: str, n_workers: int | None = None) -> Executor:
    """Return the executor of a name.

    Args:
        name: "serial", "threads", "processes", "ray" for Ray on this machine, or the "ray://host:port" of a cluster.
        n_workers: >= 1; None takes the executor's own default. A serial one has one.

    Raises:
        ValueError: if the name is unknown, or `n_workers` breaks its rule.
    """
    if n_workers is not None:
        at_least(n_workers, 1, "n_workers")
    if name.startswith("ray://"):
        return RayExecutor(name, n_workers=n_workers)
    if name == "ray":
        return RayExecutor(n_workers=n_workers)
    if name == "processes":
        return ProcessExecutor(n_workers)
    if name == "threads":
        return ThreadExecutor() if n_workers is None else ThreadExecutor(n_workers)
    if name == "serial":
        if n_workers not in (None, 1):
            raise ValueError(f"n_workers must be 1 for the executor serial, got {n_workers!r}")
        return SerialExecutor()
    raise ValueError(f"executor must be one of {', '.join(EXECUTORS)}, got {name!r}")
