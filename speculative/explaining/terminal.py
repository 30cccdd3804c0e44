"""An explained answer as text: in colours, or with marks where there are none."""

from collections.abc import Iterable
from itertools import groupby

from arms.shown_text import visible
from speculative.explaining.answer import ExplainedAnswer, Piece, PieceKind
from speculative.explaining.wording import NEW_LINE, known, picked

Style = dict[PieceKind, tuple[str, str]]
_COLOURS: Style = {
    "accepted": ("\x1b[32m", "\x1b[0m"),
    "rejected": ("\x1b[9;31m", "\x1b[0m"),
    "target": ("\x1b[36m", "\x1b[0m"),
}
_MARKS: Style = {"accepted": ("{+", "+}"), "rejected": ("[-", "-]"), "target": ("", "")}
_HEADINGS = ("round", "picked", "known before", "proposed", "accepted", "ms", "text")
_RIGHT = frozenset({"round", "proposed", "accepted", "ms"})
_LONGEST_TEXT = 48  # characters of a round's text in the table


def to_text(answer: ExplainedAnswer, *, colour: bool = False) -> str:
    """Return the answer with its tokens told apart, then a table of its rounds.

    Args:
        answer: from `explain`.
        colour: by ANSI colours; else accepted draft tokens stand in {+ +}, rejected ones in [- -].
    """
    style = _COLOURS if colour else _MARKS
    kinds: dict[PieceKind, str] = {
        "accepted": "accepted draft tokens",
        "rejected": "rejected draft tokens",
        "target": "the target's own",
    }
    legend = ", ".join(style[kind][0] + words + style[kind][1] for kind, words in kinds.items())
    text = _styled(answer.first, style) + "".join(_styled(one.pieces, style) for one in answer.rounds)
    return "\n".join([legend, "", text, "", *_table(answer, style)])


def _styled(pieces: Iterable[Piece], style: Style, one_line: bool = False) -> str:
    parts = []
    for kind, group in groupby(pieces, key=lambda piece: piece.kind):
        text = visible("".join(piece.text for piece in group))
        if one_line or kind == "rejected":  # what was never written breaks no line
            text = text.replace("\n", NEW_LINE).replace("\t", " ")
        if text:
            parts.append(style[kind][0] + text + style[kind][1])
    return "".join(parts)


def _table(answer: ExplainedAnswer, style: Style) -> list[str]:
    rows = [_HEADINGS]
    for number, one in enumerate(answer.rounds, 1):
        report = one.report
        counts = str(report.n_proposed), str(report.n_accepted), f"{report.seconds * 1000:.1f}"
        rows.append((str(number), picked(report), known(one), *counts, _styled(_shortened(one.pieces), style, True)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS) - 1)]
    lines = []
    for row in rows:
        cells = [
            f"{cell:>{width}}" if heading in _RIGHT else f"{cell:<{width}}"
            for heading, cell, width in zip(_HEADINGS, row, widths, strict=False)
        ]
        lines.append("  ".join([*cells, row[-1]]))
    return lines


def _shortened(pieces: Iterable[Piece]) -> list[Piece]:
    """Return the pieces up to the longest text that a table shows."""
    kept: list[Piece] = []
    room = _LONGEST_TEXT
    for piece in pieces:
        if len(piece.text) > room:
            return [*kept, Piece(piece.text[:room] + "...", piece.kind)]
        kept.append(piece)
        room -= len(piece.text)
    return kept
