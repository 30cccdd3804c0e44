import math
import re

import pytest

from arms import Observation, Reference
from rewards import (
    REWARDS,
    AcceptanceLength,
    AcceptanceRate,
    Bleu,
    ChrF,
    CommonPrefix,
    DistributionOverlap,
    ExactMatch,
    ExpectedAcceptanceLength,
    Gleu,
    OnFailure,
    Price,
    RelativeSpeed,
    Reward,
    RougeL,
    SecondsPerToken,
    SemanticSimilarity,
    Speedup,
    TimeSaved,
    TokenF1,
    TokensPerSecond,
    WeightedAverage,
)
from rewards.testing.rewards import check_reward


def observe(query_id: str, own_text: str, seconds: float, accepted: tuple[int, ...]) -> Observation:
    return Observation(
        arm="draft_3",
        query_id=query_id,
        text="the cat sat on the mat",
        n_tokens=7,
        seconds=seconds,
        proposed=(3,) * len(accepted),
        accepted=accepted,
        own_text=own_text,
        cost=0.25 * seconds,
        overlaps=(0.9, 0.5, 1.0, 0.0, 0.25, 0.75),
        reference=Reference(text="the cat sat on the mat", seconds=1.0, n_tokens=7),
    )


OBSERVATIONS = (
    observe("a", "the cat sat on the mat", 0.5, (3, 2)),
    observe("b", "a dog lay there", 1.5, (0, 0, 1, 0, 0)),
    observe("c", "", 0.01, (3, 3)),
)


class GoodReward(Reward):
    """Each broken reward below breaks one rule."""

    bounds = (0.0, 1.0)

    def _value(self, observation: Observation) -> float:
        return len(self.reference_of(observation).text) / 100


class NotFinite(GoodReward):
    def _value(self, observation):
        return super()._value(observation) and math.nan


class NotANumber(GoodReward):
    def _value(self, observation):
        return "high"


class Boundless(Reward):
    def _value(self, observation):
        return 0.5


class BeyondItsBounds(GoodReward):
    def _value(self, observation):
        return super()._value(observation) + 1.0


class Remembering(GoodReward):
    n_calls = 0

    def _value(self, observation):
        self.n_calls += 1
        return super()._value(observation) / self.n_calls


class Raising(GoodReward):
    def _value(self, observation):
        raise self.unfit(observation, "it never will")


class ChangingTheObservation(GoodReward):
    def _value(self, observation):
        object.__setattr__(observation, "n_tokens", observation.n_tokens + 1)
        return super()._value(observation)


class NotANumberOfBounds(GoodReward):
    bounds = (0.0, math.nan)


class WholeNumberBounds(GoodReward):
    bounds = (0, 1)


class SwappedBounds(GoodReward):
    bounds = (1.0, 0.0)


class GrowingBounds(GoodReward):
    highest = 1.0

    @property
    def bounds(self):
        return 0.0, self.highest

    def _value(self, observation):
        self.highest += 1.0
        return super()._value(observation)


class Nameless(GoodReward):
    name = ""


class FailureBeyondItsBounds(GoodReward):
    def _value_of_failure(self, observation):
        return -1.0


class OwnArithmetic(GoodReward):
    def __rmul__(self, weight):
        return RougeL() * 0.0


class Careless(GoodReward):
    def _value(self, observation):
        return len(observation.reference.text) / 100


class Curt(GoodReward):
    def _value(self, observation):
        if observation.reference is None:
            raise ValueError("no reference")
        return 0.5


class BeyondItsBoundsWhenBare(GoodReward):
    def _value(self, observation):
        return 0.5 if observation.n_tokens else -1.0


BROKEN = {
    NotFinite: "on the observation of arm 'draft_3' on query 'a': must value the observation, but raised ValueError(",
    NotANumber: "the value must be a finite number, got 'high'",
    Boundless: "Boundless must set bounds = (lowest, highest), two floats, in the class or in __init__",
    BeyondItsBounds: "must stay within its bounds [0.0, 1.0], got 1.22",
    Remembering: "on query 'c': must give the same value, got",
    Raising: "on query 'a': must value the observation, but raised ValueError(",
    ChangingTheObservation: "on query 'a': must leave the observation unmodified",
    NotANumberOfBounds: "bounds must be two floats (low, high) with low <= high, got (0.0, nan)",
    WholeNumberBounds: "bounds must be two floats (low, high) with low <= high, got (0, 1)",
    SwappedBounds: "bounds must be two floats (low, high) with low <= high, got (1.0, 0.0)",
    GrowingBounds: "GrowingBounds: bounds must not change, got (0.0, 1.0), then (0.0, ",
    Nameless: "Nameless.name must be a string and not blank, got ''",
    OwnArithmetic: "2 r - r / 2 - r / 2 must be r = 0.22, got",
    Careless: "must give a value or a ValueError, but raised AttributeError(",
    Curt: "the ValueError must name arm and query, got 'no reference'",
    FailureBeyondItsBounds: "on a failed pull: must stay within its bounds [0.0, 1.0], got -1.0",
    BeyondItsBoundsWhenBare: "tokens and seconds: must stay within its bounds [0.0, 1.0], got -1.0",
}

GOOD = [
    GoodReward(),
    RougeL(),
    RougeL(missing=0.5),
    Gleu(),
    Bleu(),
    ChrF(),
    TokenF1(),
    ExactMatch(),
    CommonPrefix(),
    SemanticSimilarity("bandits:HashingEncoder"),
    AcceptanceRate(),
    DistributionOverlap(),
    ExpectedAcceptanceLength(3),
    TokensPerSecond(),
    Price(),
    Price(per_hour=2.0),
    WeightedAverage(0.3, Gleu(), RelativeSpeed(20.0)),
    AcceptanceLength(),
    RelativeSpeed(20.0),
    RelativeSpeed.fitted(OBSERVATIONS),
    SecondsPerToken(0.2),
    Speedup(),
    TimeSaved(),
    0.5 * RougeL() + 0.5 * RelativeSpeed(20.0),
    -0.1 * Speedup() + 2.0 * AcceptanceLength(),
    Speedup() / 2 - AcceptanceLength(),
    OnFailure(RougeL() - RelativeSpeed(20.0), -2.0),
    2 * OnFailure(TimeSaved(), 0.0),
]


@pytest.mark.parametrize("reward", GOOD, ids=lambda reward: reward.name)
def test_every_reward_keeps_the_contract(reward):
    check_reward(reward, OBSERVATIONS)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_every_broken_reward_is_caught(broken):
    # Observations of its own, since one of the rewards spoils them.
    observations = [Observation.from_dict(observation.to_dict()) for observation in OBSERVATIONS]
    with pytest.raises(AssertionError, match=re.escape(BROKEN[broken])):
        check_reward(broken(), observations)


def test_every_named_reward_is_checked():
    assert set(REWARDS.values()) <= {type(reward) for reward in GOOD}


def test_the_check_takes_an_instance_or_what_makes_one():
    check_reward(GoodReward, OBSERVATIONS)
    check_reward(lambda: RelativeSpeed(20.0), OBSERVATIONS)


def test_the_check_says_what_it_needs():
    with pytest.raises(AssertionError, match="a reward must be an instance of Reward, got 'reward'"):
        check_reward("reward", OBSERVATIONS)
    with pytest.raises(AssertionError, match="check_reward needs at least one observation, got none"):
        check_reward(GoodReward(), [])
