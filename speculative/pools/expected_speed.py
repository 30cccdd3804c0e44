"""Tokens a second that are to be expected of an arm: at an acceptance that is given, or on traced texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import replay
from speculative.collection.trace import Trace
from speculative.measuring.cost_profile import CostProfile


class ExpectedSpeed(Protocol):
    """What arithmetics are compared by: an arm's acceptance is the same in all of them, its seconds are not."""

    def tokens_per_s(self, plan: ArmPlan, costs: CostProfile) -> float:
        """Return new tokens over all seconds of an arm with one draft, or none; prompts count."""

    def __str__(self) -> str:
        """Say in a few words what it rests on."""


@dataclass(frozen=True, slots=True)
class AtAcceptance:
    """Each draft token is accepted with one probability, whichever draft proposes it.

    A round of g draft tokens then yields (1 - a^(g+1)) / (1 - a) tokens.

    Attributes:
        acceptance: a, in [0, 1).
        n_new: tokens of an answer.
        n_prompt: tokens of a prompt.

    Raises:
        ValueError: if the acceptance is out of range.

    Source: Leviathan et al. 2023, equation 1 (arXiv:2211.17192).
    """

    acceptance: float
    n_new: int
    n_prompt: int = 256

    def __post_init__(self) -> None:
        if not 0 <= self.acceptance < 1:
            raise ValueError(f"acceptance must be in [0, 1), got {self.acceptance}")

    def tokens_per_s(self, plan: ArmPlan, costs: CostProfile) -> float:
        """Price one answer."""
        [(draft, length)] = plan.drafts
        if length == 0:
            return self.n_new / costs.plain_s(self.n_prompt, self.n_new)
        tokens = sum(self.acceptance**i for i in range(length + 1))
        round_s = costs.verify_s(length + 1, self.n_prompt) + costs.draft_s(draft, length)
        seconds = costs.prefill_s(self.n_prompt) + costs.drafts[draft].read_s * self.n_prompt
        return self.n_new / (seconds + (self.n_new - 1) / tokens * round_s)

    def __str__(self) -> str:
        return f"at acceptance {self.acceptance:g}, {self.n_new} new tokens after {self.n_prompt}"


@dataclass(frozen=True, slots=True)
class OnTraces:
    """Each text is replayed with each arm, as `collect` traced them.

    Attributes:
        traces: of training prompts.
    """

    traces: Sequence[Trace]

    def tokens_per_s(self, plan: ArmPlan, costs: CostProfile) -> float:
        """Price all texts.

        Raises:
            ValueError: if the draft was not traced, or not that far.
        """
        seconds = sum(replay(trace, plan, costs).seconds for trace in self.traces)
        return sum(len(trace.new_ids) for trace in self.traces) / seconds

    def __str__(self) -> str:
        return f"on {len(self.traces)} traced texts"
