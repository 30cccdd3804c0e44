"""Which tokens of an answer are a draft's and which the target's own, and why: on the terminal and as a page."""

from speculative.explaining.answer import ExplainedAnswer, ExplainedRound, Piece, explain
from speculative.explaining.page import to_html
from speculative.explaining.terminal import to_text
from speculative.protocols.round_report import RoundReport, accepted_of_proposed

__all__ = [
    "ExplainedAnswer",
    "ExplainedRound",
    "Piece",
    "RoundReport",
    "accepted_of_proposed",
    "explain",
    "to_html",
    "to_text",
]
