"""Logging what a policy's choices earned while a command generates."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from arms import Observation, Reference
from speculative.cli.options import say

if TYPE_CHECKING:
    from bandits import DecisionLog
    from rewards import Reward
    from speculative.measuring.cost_profile import CostProfile
    from speculative.protocols.request import Generation, Request

FAILED = "the target's logits were no numbers to choose by"


@dataclass(frozen=True, slots=True)
class RewardLog:
    """Values each answer and joins the value to its decision.

    Attributes:
        log: of the decisions.
        reward_of: values an answer.
        costs: gives the seconds without a draft, which nobody measures while a draft runs; the text would be the same.
    """

    log: "DecisionLog"
    reward_of: "Reward"
    costs: "CostProfile"

    def reward(self, request: "Request", generation: "Generation", arm: str) -> None:
        """Log an answer's reward; where it cannot be valued, say so, and leave its decision open."""
        try:
            observation = self._observed(request, generation, arm)
            self.log.rewarded(request.id, self.reward_of(observation), observation)
        except ValueError as error:
            say(f"warning: the decision {request.id!r} has no reward yet: {error}")

    def break_off(self, request_id: str) -> None:
        """Close the decision of an answer that was not finished: nothing is learned from it."""
        if self.log.status(request_id) == "open":
            self.log.dropped(request_id, "the answer was broken off")

    def _observed(self, request: "Request", generation: "Generation", arm: str) -> Observation:
        stats = generation.stats
        if generation.finished == "failed":
            return Observation.failed(arm, request.id, FAILED, stats.seconds)
        text = generation.text or ""
        plain = self.costs.plain_s(len(request.token_ids), stats.n_new)
        return Observation(
            arm=arm,
            query_id=request.id,
            text=text,
            n_tokens=stats.n_new,
            seconds=stats.seconds,
            proposed=tuple(stats.proposed),
            accepted=tuple(stats.accepted),
            reference=Reference(text, plain, stats.n_new),
        )
