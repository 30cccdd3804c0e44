"""TapOut: a bandit over ways to stop drafting, asked before every round."""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from arms.checks import at_least, not_negative, within
from speculative.protocols.drafting_rule import EngineArm
from speculative.protocols.selector import RoundObservation, Selector
from speculative.selectors.spec import SelectorSpec, longest
from speculative.selectors.upper_confidence_rule import UpperConfidenceRule


class TapOut(UpperConfidenceRule):
    """UCB1 over arms that stop drafting at different points, by a blend of accepted length and acceptance rate.

    reward = length_share * n_accepted / max_draft_length + (1 - length_share) * n_accepted / n_proposed
    bound(a) = mean reward of a + ucb_width * sqrt(2 ln t / n_a), t the round to be chosen, counted from 1

    Its arms are meant to be one draft with several draft lengths or thresholds of confidence; it takes any arms.

    Args:
        max_draft_length: the longest draft length of the engine's arms, >= 1.
        length_share: in [0, 1], of the accepted length in the reward.
        ucb_width: >= 0, how much an uncertain arm is favoured; 1 is UCB1's.

    Raises:
        ValueError: if an argument is out of range.

    Source: Sridhar et al. 2025, TapOut (arXiv:2511.02017): sequence-level UCB1 with a blended reward, read from
    summaries of the paper. Where we deviate: its arms are stopping rules on the draft's entropy or margin, ours are
    the engine's; the shares of the blend are equal by default; each request learns on its own.
    """

    class Spec(SelectorSpec):
        """The settings; the longest draft length is the arms'."""

        kind: Literal["tap_out"] = "tap_out"
        length_share: float = Field(0.5, ge=0, le=1)
        ucb_width: float = Field(1.0, ge=0)

        def build(self, arms: Sequence[EngineArm]) -> Selector:
            """Make the selector."""
            return TapOut(longest(arms), length_share=self.length_share, ucb_width=self.ucb_width)

    def __init__(self, max_draft_length: int, *, length_share: float = 0.5, ucb_width: float = 1.0) -> None:
        super().__init__()
        self.max_draft_length = at_least(max_draft_length, 1, "max_draft_length")
        self.length_share = within(length_share, 0, 1, "length_share")
        self.ucb_width = not_negative(ucb_width, "ucb_width")

    def reward(self, observation: RoundObservation) -> float:
        """Return the blend, in [0, 1]; 0 where nothing was proposed."""
        if not observation.n_proposed:
            return 0.0
        rate = observation.n_accepted / observation.n_proposed
        length = observation.n_accepted / self.max_draft_length
        return self.length_share * length + (1 - self.length_share) * rate

    def upper_bound(self, mean: float, n_played: int, n_rounds: int, n_arms: int) -> float:
        """Return UCB1's bound with its width scaled."""
        return mean + self.ucb_width * math.sqrt(2.0 * math.log(n_rounds + 1) / n_played)
