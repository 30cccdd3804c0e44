"""A payload of an answer that one's own engine wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from speculative.collection.answer_tokens import AnswerTokens  # it needs torch, upstreams do not


class WrittenPayload(bytes):
    """A payload that also tells the tokens of all of its answer."""

    answer: AnswerTokens

    @classmethod
    def of(cls, payload: bytes, answer: AnswerTokens) -> Self:
        """Return the payload with the tokens."""
        written = cls(payload)
        written.answer = answer
        return written
