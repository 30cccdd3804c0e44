"""Arms: the ways to answer a query, and the facts that one pull of an arm shows."""

from arms.acceptance import acceptance_length, acceptance_rate
from arms.arm import Arm
from arms.arm_set import ArmSet
from arms.callable_arm import CallableArm
from arms.executors import Executor, ProcessExecutor, SerialExecutor, ThreadExecutor
from arms.observation import Observation, Reference
from arms.pulling import PullSettings, pull_all, pull_seed
from arms.query import Message, Query, read_queries
from arms.recorded_arm import RecordedArm
from arms.version import lazy_version

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


def __getattr__(name: str) -> str:
    return lazy_version(name)
