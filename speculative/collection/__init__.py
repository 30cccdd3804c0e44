"""Labels without running speculation: traces, exact replay, collect."""

from speculative.collection.arm_plan import ArmPlan
from speculative.collection.settings import CollectSettings

__all__ = ["ArmPlan", "CollectSettings"]
