"""The tokens of an answer: all that a look-up's drafts depend on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """An answer of the target.

    Attributes:
        prompt_ids: token ids of the prompt.
        new_ids: of the answer, at least one.
        max_new_tokens: the limit it was written under.
    """

    prompt_ids: tuple[int, ...]
    new_ids: tuple[int, ...]
    max_new_tokens: int
