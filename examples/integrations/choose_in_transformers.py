"""Choose how transformers' `generate` drafts, query by query, and learn from what it took.

python examples/integrations/choose_in_transformers.py MODEL
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

from arms import Query
from bandits import Agent, DecisionLog, HashingEncoder, Learner, LinTS
from rewards import SecondsPerToken
from speculative.targets import TransformersArm


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder, or name on the hub")
    parser.add_argument("--n", type=int, default=20, help="queries")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    options = parser.parse_args(arguments)
    queries = [
        Query(id=f"q{i}", prompt=f"Repeat {i} times: the quick brown fox", max_new_tokens=options.max_new_tokens)
        for i in range(options.n)
    ]
    with tempfile.TemporaryDirectory() as folder:
        chosen = answer(options.model, queries, Path(folder))
    print(" ".join(f"{arm} {n}" for arm, n in sorted(chosen.items())))


def answer(name: str, queries: Sequence[Query], folder: Path) -> Counter[str]:
    """Return how often each arm was chosen."""
    chosen: Counter[str] = Counter()
    # --8<-- [start:task]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    arms = [TransformersArm(model, tokenizer), TransformersArm(model, tokenizer, prompt_lookup_num_tokens=7)]
    policy, log = LinTS(), DecisionLog(folder / "log")
    agent = Agent(policy, HashingEncoder(64), log, arms=arms, reward=SecondsPerToken(slowest=1.0))
    learner = Learner(policy, folder / "log", folder / "learner", batch=1)
    for query in queries:
        observation = agent.answer(query)  # .text, .seconds, .arm
        while learner.step():
            agent.serve(learner.policy, learner.version)
        # --8<-- [end:task]
        chosen[observation.arm] += 1
    learner.close()
    log.close()
    return chosen


if __name__ == "__main__":
    main()
