"""Explained answers as one page that needs nothing else: no network, no other file."""

from collections.abc import Iterable, Sequence
from importlib.resources import files
from string import Template

from arms.shown_text import escape
from speculative.explaining.answer import ExplainedAnswer, ExplainedRound, Piece, PieceKind
from speculative.explaining.wording import NEW_LINE, known, milliseconds, outline, picked

_CLASSES: dict[PieceKind, str] = {"accepted": "a", "rejected": "r", "target": "o"}
_HEADINGS = ("round", "picked", "proposed", "accepted", "ms", "known before", "text")
_NUMBERS = frozenset({"round", "proposed", "accepted", "ms"})


def to_html(answers: Sequence[ExplainedAnswer], title: str = "Whose tokens these are") -> str:
    """Return a page: point at a token, or tap it, and its round, draft and counts are told.

    It is read on a phone, in the dark, without a network and on paper; texts cannot act on it, whatever they hold.

    Args:
        answers: from `explain`, at least one.
        title: of the page.

    Raises:
        ValueError: if there is no answer.
    """
    if not answers:
        raise ValueError("a page explains at least one answer, got none")
    template = Template(files("speculative.explaining").joinpath("page.html").read_text(encoding="utf-8"))
    sections = "\n".join(_section(number, answer) for number, answer in enumerate(answers, 1))
    return template.substitute(title=escape(title), answers=sections)


def _section(number: int, answer: ExplainedAnswer) -> str:
    """Return an answer: what was asked, the outline, the text, the table of its rounds."""
    anchors = [f"a{number}r{i}" for i in range(1, len(answer.rounds) + 1)]
    groups = [_group(i, one, anchor) for i, (one, anchor) in enumerate(zip(answer.rounds, anchors, strict=True), 1)]
    rows = [_row(i, one, anchor) for i, (one, anchor) in enumerate(zip(answer.rounds, anchors, strict=True), 1)]
    heads = "".join(f'<th class="n">{name}</th>' if name in _NUMBERS else f"<th>{name}</th>" for name in _HEADINGS)
    return "\n".join(
        [
            f"<section><h2>{escape(answer.name)}</h2>",
            f"<pre>{escape(answer.prompt)}</pre>" if answer.prompt else "",
            "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in outline(answer)) + "</ul>",
            f'<div class="text">{_first(answer)}{"".join(groups)}</div>',
            f"<table><thead><tr>{heads}</tr></thead><tbody>",
            *rows,
            "</tbody></table></section>",
        ]
    )


def _first(answer: ExplainedAnswer) -> str:
    what = {"what": "the first token, which the prompt's pass yields", "known": "the prompt", "time": ""}
    what["time"] = f"{answer.stats.prefill_s * 1000:.1f} ms: the prompt's pass"
    return f'<span class="round" tabindex="0"{_data(what)}>{_tokens(answer.first)}</span>'


def _group(number: int, one: ExplainedRound, anchor: str) -> str:
    report = one.report
    what = {
        "what": f"round {number}: picked {picked(report)} (draft {report.draft}), proposed {report.n_proposed}, "
        f"accepted {report.n_accepted}",
        "known": known(one) + _certainty(one),
        "time": milliseconds(report),
    }
    return f'<span class="round" tabindex="0" id="{anchor}"{_data(what)}>{_tokens(one.pieces)}</span>'


def _certainty(one: ExplainedRound) -> str:
    found = one.report.certainty
    if found is None:
        return ""
    return f"; the target's last token: margin {found.margin:.2f}, entropy {found.entropy:.2f} nats"


def _row(number: int, one: ExplainedRound, anchor: str) -> str:
    report = one.report
    cells = [
        f'<td class="n first"><a href="#{anchor}">{number}</a></td>',
        f'<td class="wide">{escape(picked(report))}</td>',
        *(
            f'<td class="n" data-h="{name}">{value}</td>'
            for name, value in (("proposed", report.n_proposed), ("accepted", report.n_accepted))
        ),
        f'<td class="n" data-h="ms">{report.seconds * 1000:.1f}</td>',
        f'<td class="wide" data-h="known:">{escape(known(one))}</td>',
        f'<td class="t wide">{_tokens(one.pieces, one_line=True)}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _tokens(pieces: Iterable[Piece], one_line: bool = False) -> str:
    """Return a span a token; a line end is seen, and ends the line unless its token was rejected."""
    spans = []
    for piece in pieces:
        stays = one_line or piece.kind == "rejected"
        text = escape(piece.text).replace("\n", NEW_LINE if stays else NEW_LINE + "\n")
        spans.append(f'<span class="{_CLASSES[piece.kind]}">{text}</span>')
    return "".join(spans)


def _data(values: dict[str, str]) -> str:
    return "".join(f' data-{name}="{escape(value)}"' for name, value in values.items())
