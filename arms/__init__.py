"""Arms: the ways to answer a query, and the facts that one pull of an arm shows."""

from typing import TYPE_CHECKING

from arms.front_door import front_door as _front_door

if TYPE_CHECKING:
    from arms.acceptance import acceptance_length, acceptance_rate
    from arms.arm import Arm
    from arms.arm_set import ArmSet
    from arms.callable_arm import CallableArm
    from arms.executors import Executor, ProcessExecutor, RayExecutor, SerialExecutor, ThreadExecutor
    from arms.observation import Observation, Reference
    from arms.pulling import PullSettings, pull_all, pull_seed
    from arms.query import Message, Query, read_queries
    from arms.recorded_arm import RecordedArm

_HOMES = {
    "Arm": "arm",
    "ArmSet": "arm_set",
    "CallableArm": "callable_arm",
    "Executor": "executors",
    "Message": "query",
    "Observation": "observation",
    "ProcessExecutor": "executors",
    "PullSettings": "pulling",
    "Query": "query",
    "RayExecutor": "executors",
    "RecordedArm": "recorded_arm",
    "Reference": "observation",
    "SerialExecutor": "executors",
    "ThreadExecutor": "executors",
    "acceptance_length": "acceptance",
    "acceptance_rate": "acceptance",
    "pull_all": "pulling",
    "pull_seed": "pulling",
    "read_queries": "query",
}

__all__ = [
    "Arm",
    "ArmSet",
    "CallableArm",
    "Executor",
    "Message",
    "Observation",
    "ProcessExecutor",
    "PullSettings",
    "Query",
    "RayExecutor",
    "RecordedArm",
    "Reference",
    "SerialExecutor",
    "ThreadExecutor",
    "acceptance_length",
    "acceptance_rate",
    "pull_all",
    "pull_seed",
    "read_queries",
]

__getattr__ = _front_door("arms", _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
