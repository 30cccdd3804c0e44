"""Arms: the ways to answer a query, and the facts that one pull of an arm shows."""

from arms.acceptance import acceptance_length, acceptance_rate
from arms.arm import Arm
from arms.arm_set import ArmSet
from arms.callable_arm import CallableArm
from arms.observation import Observation, Reference
from arms.query import Message, Query, read_queries
from arms.recorded_arm import RecordedArm

__all__ = [
    "Arm",
    "ArmSet",
    "CallableArm",
    "Message",
    "Observation",
    "Query",
    "RecordedArm",
    "Reference",
    "acceptance_length",
    "acceptance_rate",
    "read_queries",
]
