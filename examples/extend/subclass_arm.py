"""Put an LLM endpoint behind the `Arm` interface and compare it with a recorded run.

python examples/extend/subclass_arm.py
"""

import argparse
import random
import time
from collections.abc import Callable, Sequence

from arms import Arm, ArmSet, Observation, Query, RecordedArm, Reference
from arms.testing.arms import check_arm
from rewards import RougeL, Speedup

TARGET_ANSWERS = {
    "Name the four seasons.": "The four seasons are spring, summer, autumn and winter.",
    "What is 17 plus 25?": "17 plus 25 is 42.",
    "Translate 'good morning' into French.": "'Good morning' in French is 'bonjour'.",
    "Why is the sky blue?": "Air scatters blue light more than red, so blue reaches us from every side.",
}


class FakeEndpoint:
    """Stands in for a small hosted model: quick, and now and then it forgets a word."""

    def __call__(self, prompt: str, seed: int) -> str:
        """Complete `prompt`; replace this body by a request to your own server."""
        time.sleep(0.01)
        draw = random.Random(f"{seed} {prompt}")
        return " ".join(word for word in TARGET_ANSWERS[prompt].split() if draw.random() > 0.2)


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
    n_words = {query.id: len(TARGET_ANSWERS[query.text].split()) for query in queries}
    return {
        query.id: Reference(TARGET_ANSWERS[query.text], seconds=n_words[query.id] / 20, n_tokens=n_words[query.id])
        for query in queries
    }


# --8<-- [start:recorded]
def replay_target(references: dict[str, Reference]) -> RecordedArm:
    """The log as an arm: it answers at once, with the seconds that were logged."""
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


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="two queries only")
    arguments = parser.parse_args(argv)

    prompts = list(TARGET_ANSWERS)[: 2 if arguments.smoke else None]
    queries = [Query(id=f"q{number}", prompt=prompt) for number, prompt in enumerate(prompts, start=1)]
    references = logged_references(queries)

    # --8<-- [start:check]
    arms = ArmSet([replay_target(references), EndpointArm(FakeEndpoint(), references)])
    for arm in arms:
        check_arm(arm, queries)  # the same check that the built-in arms pass
    # --8<-- [end:check]

    alignment, speedup = RougeL(), Speedup()
    print(f"{'query':6} {'arm':9} {alignment.name:>7} {speedup.name:>8}  text")
    for query in queries:
        for arm in arms:
            observation = arm.pull(query, arguments.seed)
            print(
                f"{query.id:6} {arm.name:9} {alignment(observation):7.2f} {speedup(observation):7.1f}x  "
                f"{observation.text}"
            )


if __name__ == "__main__":
    main()
