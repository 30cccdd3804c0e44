"""Write a reward of your own, add it to others, and watch the best arm change.

python examples/extend/subclass_reward.py
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from arms import Observation, Reference
from rewards import RelativeSpeed, Reward, RougeL
from rewards.testing.rewards import check_reward

ANSWER = "a contextual bandit learns which draft suits which query from what it has seen so far"


# --8<-- [start:reward]
@dataclass(frozen=True)
class LatencyPenalty(Reward):
    """Minus the share of the time budget that was used: users leave when it is gone."""

    budget_s: float

    bounds = (-1.0, 0.0)

    def _value(self, observation: Observation) -> float:
        """Longer is worse, and beyond the budget nothing gets worse."""
        return -min(1.0, observation.seconds / self.budget_s)


# --8<-- [end:reward]


def simulate(n_queries: int, seed: int) -> dict[str, list[Observation]]:
    """Three drafts: the better one agrees with the target, the slower it is."""
    draw = random.Random(seed)
    observations: dict[str, list[Observation]] = {}
    for arm, agreement, tokens_per_second in (("tiny", 0.3, 90), ("small", 0.7, 60), ("large", 0.95, 25)):
        for query in range(n_queries):
            own_text = " ".join(word if draw.random() < agreement else "um" for word in ANSWER.split())
            n_tokens = draw.randint(20, 60)
            observation = Observation(
                arm=arm,
                query_id=f"q{query}",
                text=ANSWER,
                own_text=own_text,
                n_tokens=n_tokens,
                seconds=n_tokens / (tokens_per_second * draw.uniform(0.8, 1.0)),
                reference=Reference(text=ANSWER, seconds=n_tokens / 20, n_tokens=n_tokens),
            )
            observations.setdefault(arm, []).append(observation)
    return observations


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="5 queries in place of 200")
    arguments = parser.parse_args(argv)

    by_arm = simulate(5 if arguments.smoke else 200, arguments.seed)
    everything = [observation for observations in by_arm.values() for observation in observations]

    # --8<-- [start:compose]
    alignment, speed, latency = RougeL(), RelativeSpeed.fitted(everything), LatencyPenalty(budget_s=2.0)
    rewards = [
        alignment,
        speed,
        latency,
        0.5 * alignment + 0.5 * speed,
        0.8 * alignment + 0.1 * speed + 0.1 * latency,
    ]
    for reward in rewards:
        check_reward(reward, everything)  # the same check that the built-in rewards pass
    # --8<-- [end:compose]

    print(f"{'reward':61}" + "".join(f"{arm:>8}" for arm in by_arm) + "   best arm")
    for reward in rewards:
        means = {arm: fmean(map(reward, observations)) for arm, observations in by_arm.items()}
        values = "".join(f"{mean:8.2f}" for mean in means.values())
        print(f"{reward.name:61}{values}   {max(means, key=lambda arm: means[arm])}")


if __name__ == "__main__":
    main()
