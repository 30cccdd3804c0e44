"""How a service serves: who decides, where rewards come from, and what is tried again."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from arms import Observation
from bandits import checks
from bandits.online import TimeBudget
from bandits.online.rollout import largest_share
from rewards import Reward

Stage = Literal["shadow", "canary", "live"]
STAGES: tuple[Stage, ...] = ("shadow", "canary", "live")
"""In the order of promotion."""
RewardSource = Literal["own", "caller"]


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What a service is told at its start.

    Attributes:
        incumbent: the arm that serves where the policy does not decide.
        stage: "shadow": the incumbent serves and the policy's choice is only logged; "canary": the policy decides a
            share; "live": it decides all but the exploration.
        share: of the requests that the policy decides in the canary stage.
        exploration: of the requests that any arm may get, in every stage. Without it nothing can be learned of arms
            that are not served, nor can a policy's worth be told.
        propensity_floor: least probability of each arm that is up, in [0, 1 / number of arms]: where the exploration's
            part of an arm is less, the exploration is larger.
        rewards: "own": minus the seconds a token, measured; "caller": what is posted to /v1/draftpick/reward.
        reward_window_s: how long a caller's reward is waited for; then `default_reward` counts.
        default_reward: of a decision that the caller does not reward, in [0, 1].
        attempts: arms asked, one after another, while none has sent its first byte.
        most_failures: of an arm in a row before it is masked.
        open_s: how long it is masked then.
        learn_every_s: pause between steps of learning.
        promote: let a policy go up a stage once it earns more than the incumbent beyond doubt. One that earns less goes
            back to shadow in any case.
        level: probability that any such change is ever wrong.
        conservative: seconds that other arms may lose against the incumbent, all answers together (see `TimeBudget`);
            None for no limit. Needs rewards of one's own, whose log keeps the seconds.
        conservative_share: of what the incumbent would have taken for all tokens, by which that budget grows.
        id_prefix: what the ids of decisions begin with.
        show_texts: let the live page show texts of requests and answers; else it shows figures only.

    Raises:
        ValueError: if a number is out of range, there is a budget and the rewards are the caller's, or a share of the
            incumbent's time and no budget.
    """

    incumbent: str
    _: KW_ONLY
    stage: Stage = "shadow"
    share: float = 0.1
    exploration: float = 0.05
    propensity_floor: float = 0.0
    rewards: RewardSource = "own"
    reward_window_s: float = 600.0
    default_reward: float = 0.0
    attempts: int = 3
    most_failures: int = 3
    open_s: float = 10.0
    learn_every_s: float = 1.0
    promote: bool = False
    level: float = 0.05
    conservative: float | None = None
    conservative_share: float = 0.0
    id_prefix: str = "dp"
    show_texts: bool = False

    def __post_init__(self) -> None:
        checks.within(self.exploration, 0.0, 1.0, "exploration")
        checks.within(self.propensity_floor, 0.0, 1.0, "propensity_floor")
        checks.within(self.share, 0.0, largest_share(self.exploration), "share")
        checks.within(self.default_reward, 0.0, 1.0, "default_reward")
        checks.at_least(self.attempts, 1, "attempts")
        checks.at_least(self.most_failures, 1, "most_failures")
        for name in ("reward_window_s", "open_s", "learn_every_s"):
            checks.not_negative(getattr(self, name), name)
        checks.share(self.level, "level")
        if self.conservative is not None:
            checks.not_negative(self.conservative, "conservative")
        checks.not_negative(self.conservative_share, "conservative_share")
        self.time_budget()

    def time_budget(self) -> TimeBudget | None:
        """Return a new budget as asked for; None for no limit."""
        if self.conservative is None:
            if self.conservative_share:
                raise ValueError(
                    f"conservative_share says how the budget of conservative grows, got {self.conservative_share:g} "
                    "without one: give conservative too, 0 for a budget of that share alone"
                )
            return None
        if self.rewards != "own":
            raise ValueError("conservative needs rewards 'own', by whose seconds time lost is told, got 'caller'")
        return TimeBudget(self.conservative, share=self.conservative_share)

    def share_of(self, stage: Stage) -> float:
        """Return the share of the requests that the policy decides in a stage."""
        return {"shadow": 0.0, "canary": self.share, "live": largest_share(self.exploration)}[stage]


class CallerReward(Reward):
    """What the caller says an answer was worth, in [0, 1]; a default where no answer came.

    Args:
        default: value of a failed pull.
    """

    bounds = (0.0, 1.0)

    def __init__(self, default: float) -> None:
        self.default = checks.within(default, 0.0, 1.0, "default")

    def _value(self, observation: Observation) -> float:
        """Refuse: only the caller knows.

        Raises:
            ValueError: always.
        """
        raise self.unfit(observation, "its reward is the caller's to give")

    def _value_of_failure(self, observation: Observation) -> float:
        """Return the default."""
        return self.default
