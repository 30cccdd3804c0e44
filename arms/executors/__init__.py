"""How independent work runs: in turn, in threads, processes or Ray actors, with results in the order of the tasks."""

from arms.executors.executor import Executor, Failed
from arms.executors.named import executor_of
from arms.executors.processes import ProcessExecutor
from arms.executors.ray_actors import RayExecutor
from arms.executors.serial import SerialExecutor
from arms.executors.threads import ThreadExecutor

__all__ = ["Executor", "Failed", "ProcessExecutor", "RayExecutor", "SerialExecutor", "ThreadExecutor", "executor_of"]
