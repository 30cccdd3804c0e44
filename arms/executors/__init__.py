"""How independent work runs: one after another, in threads or in processes, with results in the order of the tasks."""

from arms.executors.executor import Executor, Failed
from arms.executors.processes import ProcessExecutor
from arms.executors.serial import SerialExecutor
from arms.executors.threads import ThreadExecutor

__all__ = ["Executor", "Failed", "ProcessExecutor", "SerialExecutor", "ThreadExecutor"]
