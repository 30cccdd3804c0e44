"""Seeded sources of training prompts for distilling drafts: maths, code and prose."""

from speculative.distillation.prompts.code import code_prompts
from speculative.distillation.prompts.maths import maths_word_problems
from speculative.distillation.prompts.prose import prose_prompts
from speculative.distillation.prompts.training_prompt import TrainingPrompt, split

__all__ = ["TrainingPrompt", "code_prompts", "maths_word_problems", "prose_prompts", "split"]
