"""Labels without running speculation: traces, exact replay, collect."""

from typing import TYPE_CHECKING

from arms.front_door import front_door as _front_door
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.settings import CollectSettings

if TYPE_CHECKING:
    from speculative.collection.label_cost import LabelSeconds, label_seconds

__all__ = ["ArmPlan", "CollectSettings", "LabelSeconds", "label_seconds"]

__getattr__ = _front_door("speculative.collection", {"LabelSeconds": "label_cost", "label_seconds": "label_cost"})
