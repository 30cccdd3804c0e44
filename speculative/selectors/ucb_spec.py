"""UCBSpec: a bandit over drafts or draft lengths, asked before every round."""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from arms.checks import at_least, not_negative, positive, within
from speculative.protocols.drafting_rule import EngineArm
from speculative.protocols.selector import RoundObservation, Selector
from speculative.selectors.spec import SelectorSpec, longest
from speculative.selectors.upper_confidence_rule import UpperConfidenceRule


class UCBSpec(UpperConfidenceRule):
    """The arm whose mean of tokens per round could plausibly be highest, learned anew for each request.

    reward = new tokens of the round, the target's own included, in [1, L + 1]
    bound(a) = mean reward of a + ucb_width * (L / 2)
               * sqrt((1 + n_a) / n_a^2 * (1 + 2 ln(k * t^2 * sqrt(1 + n_a) / failure_probability)))

    with L = max_draft_length, k arms, n_a of the t rounds so far played by arm a. Fewest rounds is what it
    aims at (the paper's stopping-time regret), whatever a round costs. Give `plain_round_s` to aim at time:
    the reward is then new tokens * plain_round_s / seconds, how many times as fast as plain decoding the round was.

    Args:
        max_draft_length: the longest draft length of the engine's arms, >= 1; the paper's L.
        failure_probability: in (0, 1], how often the bounds may fail; the paper's delta, 1/2 in its analysis.
        ucb_width: >= 0, multiplies the confidence radius; 1 is the paper's, which keeps trying arms for hundreds
            of rounds.
        plain_round_s: seconds of a round without a draft (see `CostProfile`), the least that any round takes; it
            keeps that reward below L + 1, which the radius rests on. None for the paper's reward.

    Raises:
        ValueError: if an argument is out of range.

    Source: Hou et al. 2025, BanditSpec (arXiv:2505.15141), Algorithm 4, Equations 5 to 7; the choice of delta is
    in the proof of Theorem 4.3, the throughput as reward in Section 6.2, which states no unit for it: ours is
    plain decoding's speed. The published code divides by the rounds of all arms together; as in the paper,
    each arm has its own count here.
    """

    class Spec(SelectorSpec):
        """The settings; the longest draft length is the arms'."""

        kind: Literal["ucb_spec"] = "ucb_spec"
        failure_probability: float = Field(0.5, gt=0, le=1)
        ucb_width: float = Field(1.0, ge=0)
        plain_round_s: float | None = Field(None, gt=0)

        def build(self, arms: Sequence[EngineArm]) -> Selector:
            """Make the selector."""
            return UCBSpec(
                longest(arms),
                failure_probability=self.failure_probability,
                ucb_width=self.ucb_width,
                plain_round_s=self.plain_round_s,
            )

    def __init__(
        self,
        max_draft_length: int,
        *,
        failure_probability: float = 0.5,
        ucb_width: float = 1.0,
        plain_round_s: float | None = None,
    ) -> None:
        super().__init__()
        self.max_draft_length = at_least(max_draft_length, 1, "max_draft_length")
        self.failure_probability = within(
            positive(failure_probability, "failure_probability"), 0, 1, "failure_probability"
        )
        self.ucb_width = not_negative(ucb_width, "ucb_width")
        self.plain_round_s = None if plain_round_s is None else positive(plain_round_s, "plain_round_s")

    def reward(self, observation: RoundObservation) -> float:
        """Return the round's new tokens, or its speed where `plain_round_s` is given."""
        if self.plain_round_s is None:
            return float(observation.n_new)
        return observation.n_new * self.plain_round_s / observation.seconds

    def upper_bound(self, mean: float, n_played: int, n_rounds: int, n_arms: int) -> float:
        """Return the bound of Equation 7."""
        deviation = math.log(n_arms * n_rounds**2 * math.sqrt(1 + n_played) / self.failure_probability)
        radius = 0.5 * self.max_draft_length * math.sqrt((1 + n_played) / n_played**2 * (1 + 2 * deviation))
        return mean + self.ucb_width * radius
