"""Put an LLM endpoint behind the `Arm` interface, and learn for which queries it beats a recorded big model.

python examples/extend/subclass_arm.py
"""

import argparse
import random
import time
from collections.abc import Callable, Sequence

import numpy as np

from arms import Arm, ArmSet, Observation, PullSettings, Query, RecordedArm, Reference, ThreadExecutor, pull_all
from arms.testing import check_arm
from bandits import FullInformationData, HashingEncoder, LinUCB, split_by_query
from rewards import OnFailure, RougeL, TimeSaved

CAPITALS = (
    ("France", "Paris"), ("Italy", "Rome"), ("Peru", "Lima"), ("Kenya", "Nairobi"), ("Japan", "Tokyo"),
    ("Cuba", "Havana"), ("Spain", "Madrid"), ("Egypt", "Cairo"), ("Chile", "Santiago"), ("India", "New Delhi"),
    ("Greece", "Athens"), ("Ghana", "Accra"), ("Austria", "Vienna"), ("Iran", "Tehran"), ("Poland", "Warsaw"),
)  # fmt: skip
N_SUMS = 45
ENCODER = HashingEncoder(64)


def right_answers() -> dict[str, str]:
    """Return what the big model answers: facts, and sums."""
    facts = {
        f"{ask} the capital of {country}?": f"The capital of {country} is the city of {capital}."
        for country, capital in CAPITALS
        for ask in ("What is", "Which city is", "Can you name")
    }
    sums = {f"How much is {n} plus {2 * n + 5}?": f"{n} plus {2 * n + 5} is {3 * n + 5} in all." for n in range(N_SUMS)}
    return facts | sums


class FakeEndpoint:
    """Stands in for a small hosted model: quick, cannot add, forgets a word, and is down now and then."""

    def __init__(self, flaky: bool = False) -> None:
        self.flaky = flaky

    def __call__(self, prompt: str, seed: int) -> str:
        """Complete `prompt`; replace this body by a request to your own server."""
        time.sleep(0.005)
        draw = random.Random(f"{seed} {prompt}")
        if self.flaky and draw.random() < 0.1:
            raise ConnectionError("503 Service Unavailable")
        if "plus" in prompt:
            return "I am not sure about that one."
        return " ".join(word for word in right_answers()[prompt].split() if draw.random() > 0.1)


# --8<-- [start:arm]
class EndpointArm(Arm):
    """This is all there is to an arm: a name, and a pull that reports the facts."""

    name = "endpoint"

    def __init__(self, complete: Callable[[str, int], str], references: dict[str, Reference]) -> None:
        self.complete = complete
        self.references = references

    def pull(self, query: Query, seed: int) -> Observation:
        """Ask the endpoint once."""
        start = time.perf_counter()
        text = self.complete(query.text, seed)
        seconds = time.perf_counter() - start
        return Observation(
            arm=self.name,
            query_id=query.id,
            text=text,
            own_text=text,
            n_tokens=len(text.split()),
            seconds=seconds,
            reference=self.references[query.id],
        )


# --8<-- [end:arm]


def logged_references(queries: Sequence[Query]) -> dict[str, Reference]:
    """Yesterday's log of the big model: right, at 20 words a second."""
    answers = right_answers()
    n_words = {query.id: len(answers[query.text].split()) for query in queries}
    return {
        query.id: Reference(answers[query.text], seconds=n_words[query.id] / 20, n_tokens=n_words[query.id])
        for query in queries
    }


# --8<-- [start:recorded]
def replay_target(references: dict[str, Reference]) -> RecordedArm:
    """Make the log an arm: it answers at once, with the seconds that were logged."""
    observations = {
        query_id: Observation(
            arm="target",
            query_id=query_id,
            text=reference.text,
            own_text=reference.text,
            n_tokens=reference.n_tokens,
            seconds=reference.seconds,
            reference=reference,
        )
        for query_id, reference in references.items()
    }
    return RecordedArm("target", observations)


# --8<-- [end:recorded]


def learn(arms: ArmSet, queries: Sequence[Query], seed: int) -> LinUCB:
    """Pull every arm on every query, and fit a policy on what that showed."""
    # --8<-- [start:learn]
    observations = pull_all(arms, queries, executor=ThreadExecutor(8), settings=PullSettings(seed=seed, timeout_s=30))
    reward = OnFailure(RougeL() + TimeSaved(), 0.0)  # right, and a point a second saved; no answer is worth nothing
    data = FullInformationData.from_observations(queries, observations, encoder=ENCODER, reward=reward)
    split = split_by_query(data, 0.3, np.random.default_rng(seed))
    policy = LinUCB().fit(split.train)
    # --8<-- [end:learn]
    test = split.test
    n_failed = sum(observation.failure is not None for row in observations for observation in row)
    print(f"{len(queries)} queries, {len(arms)} arms, {n_failed} failed pulls; on {len(test)} held-out queries:")
    for name, mean in zip(test.arm_names, test.rewards.mean(axis=0), strict=True):
        print(f"always {name:8} mean reward {mean:.2f}")
    print(f"the policy      mean reward {test.value(policy):.2f}")
    return policy


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="18 queries only")
    arguments = parser.parse_args(argv)

    prompts = list(right_answers())[:: 5 if arguments.smoke else 1]
    queries = [Query(id=f"q{number}", prompt=prompt) for number, prompt in enumerate(prompts, start=1)]
    references = logged_references(queries)

    # --8<-- [start:check]
    for arm in (replay_target(references), EndpointArm(FakeEndpoint(), references)):
        check_arm(arm, queries)  # the same check that the built-in arms pass
    # --8<-- [end:check]

    arms = ArmSet([replay_target(references), EndpointArm(FakeEndpoint(flaky=True), references)])
    policy = learn(arms, queries, arguments.seed)
    for text in ("What is the capital of Norway?", "How much is 40 plus 2?"):
        # --8<-- [start:choose]
        context = ENCODER.encode([text])[0]
        decision = policy.choose(context, np.random.default_rng(arguments.seed))
        # --8<-- [end:choose]
        print(f"{text} -> {decision.arm}")


if __name__ == "__main__":
    main()
