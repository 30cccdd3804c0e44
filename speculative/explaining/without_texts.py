"""An explained answer whose texts are hidden: whose token each is still shows, and what it says does not."""

from collections.abc import Iterable
from dataclasses import replace

from speculative.explaining.answer import ExplainedAnswer, Piece

HIDDEN = "\u25ac "
"""Stands for a token."""


def without_texts(answer: ExplainedAnswer) -> ExplainedAnswer:
    """Return the answer with a block for each token and without its prompt."""
    rounds = tuple(replace(one, pieces=_blocks(one.pieces)) for one in answer.rounds)
    return replace(answer, prompt="", first=_blocks(answer.first), rounds=rounds)


def _blocks(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    return tuple(Piece(HIDDEN, piece.kind) for piece in pieces)
