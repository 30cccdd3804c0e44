"""Seeded sources of training prompts for distilling drafts: maths, code and prose."""

from speculative.code_prompts import code_prompts
from speculative.maths_prompts import maths_word_problems
from speculative.prose_prompts import prose_prompts
from speculative.training_prompt import TrainingPrompt, split

__all__ = ["TrainingPrompt", "code_prompts", "maths_word_problems", "prose_prompts", "split"]
