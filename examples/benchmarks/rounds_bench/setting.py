"""Two sides of traced texts, and what playing them needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from speculative.collection.arm_plan import ArmPlan
from speculative.collection.trace import Trace
from speculative.measuring.cost_profile import CostProfile
from speculative.protocols.selector import Selector
from speculative.rounds import play


@dataclass(frozen=True)
class Setting:
    """What selectors are fitted on and played on.

    Attributes:
        train: texts to learn from.
        test: held-out texts.
        arms: name to plan, fixed arms.
        costs: seconds of this machine.
    """

    train: Sequence[Trace]
    test: Sequence[Trace]
    arms: Mapping[str, ArmPlan]
    costs: CostProfile

    def seconds(self, selector: Selector) -> np.ndarray:
        """Return a selector's seconds on every held-out text."""
        plans = list(self.arms.values())
        return np.array([play(selector, plans, trace, self.costs).seconds for trace in self.test])
