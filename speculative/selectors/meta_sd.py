"""MetaSD: a bandit over drafts, asked before every round."""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from arms.checks import at_least, not_negative
from speculative.protocols.drafting_rule import EngineArm
from speculative.protocols.selector import RoundObservation, Selector
from speculative.selectors.spec import SelectorSpec, longest
from speculative.selectors.upper_confidence_rule import UpperConfidenceRule


class MetaSD(UpperConfidenceRule):
    """The arm whose mean block efficiency could plausibly be highest, learned anew for each request.

    reward = n_accepted / max_draft_length
    bound(a) = mean reward of a + ucb_width * sqrt(2 ln t / n_a), t the round to be chosen, counted from 1

    Args:
        max_draft_length: the longest draft length of the engine's arms, >= 1; the paper's N_max.
        ucb_width: >= 0, how much an uncertain arm is favoured; the paper's beta, whose value we could not find: 1,
            the default, is UCB1's for rewards in [0, 1].

    Raises:
        ValueError: if an argument is out of range.

    Source: Kim, Jung and Yun 2026, Multi-Drafter Speculative Decoding with Alignment Feedback (arXiv:2604.05417),
    Algorithm 2 (MetaSD-UCB), read from summaries of the paper. Where we deviate: its main reward is block
    divergence (Equation 1), the mean over the block of one minus the total variation distance between target and
    draft. That needs both distributions at every drafted position, which a round does not report, so we use
    block efficiency, the reward the paper compares it with. Its drafts share one length; ours are divided by the
    longest, so that arms of different lengths are compared by tokens accepted.
    """

    class Spec(SelectorSpec):
        """The settings; the longest draft length is the arms'."""

        kind: Literal["meta_sd"] = "meta_sd"
        ucb_width: float = Field(1.0, ge=0)

        def build(self, arms: Sequence[EngineArm]) -> Selector:
            """Make the selector."""
            return MetaSD(longest(arms), ucb_width=self.ucb_width)

    def __init__(self, max_draft_length: int, *, ucb_width: float = 1.0) -> None:
        super().__init__()
        self.max_draft_length = at_least(max_draft_length, 1, "max_draft_length")
        self.ucb_width = not_negative(ucb_width, "ucb_width")

    def reward(self, observation: RoundObservation) -> float:
        """Return the share of the longest block that was accepted, in [0, 1]."""
        return observation.n_accepted / self.max_draft_length

    def upper_bound(self, mean: float, n_played: int, n_rounds: int, n_arms: int) -> float:
        """Return UCB1's bound with its width scaled."""
        return mean + self.ucb_width * math.sqrt(2.0 * math.log(n_rounds + 1) / n_played)
