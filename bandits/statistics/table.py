"""A table of a result: as text of the terminal's width, as Markdown and as HTML."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap

from arms.shown_text import escape

_GAP = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells under headings, with what the reader must know below.

    Attributes:
        title: the line above.
        headings: the first column's is that of the names.
        lines: a cell for each heading.
        sections: indices of the lines before which a rule is drawn.
        remarks: sentences below; the last one is the conclusion.
        left: headings of columns that are aligned to the left; the first always is.
    """

    title: str
    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    sections: frozenset[int] = frozenset()
    remarks: tuple[str, ...] = ()
    left: frozenset[str] = frozenset()

    def to_text(self, width: int | None = None) -> str:
        """Return plain text; columns that do not fit stand below, with the names again.

        Args:
            width: in characters; None takes the terminal's (COLUMNS where that is set, 80 where there is none).
        """
        width = shutil.get_terminal_size().columns if width is None else width
        blocks = [self._block(columns) for columns in self._column_groups(width)]
        remarks = [line for remark in self.remarks for line in wrap(remark, width, break_long_words=False)]
        return "\n".join([self.title, "\n\n".join(blocks), *remarks])

    def to_markdown(self) -> str:
        """Return a Markdown table, the remarks as a list."""
        escaped = ([cell.replace("|", "\\|") for cell in line] for line in (self.headings, *self.lines))
        head, *body = ["| " + " | ".join(line) + " |" for line in escaped]
        rule = "|" + "|".join("---" if self._is_left(column) else "---:" for column in range(len(self.headings))) + "|"
        remarks = [f"- {remark}" for remark in self.remarks]
        return "\n".join([f"**{self.title}**", "", head, rule, *body, "", *remarks]) + "\n"

    def to_html(self) -> str:
        """Return an HTML table for notebooks, the remarks as paragraphs."""
        head = _html_line(self.headings, "th")
        body = "".join(_html_line(line, "td") for line in self.lines)
        remarks = "".join(f"<p>{escape(remark)}</p>" for remark in self.remarks)
        caption = f"<caption>{escape(self.title)}</caption>"
        return f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table>{remarks}"

    def _column_groups(self, width: int) -> list[list[int]]:
        """Return indices of columns, the first in each group, so that each group fits the width where it can."""
        groups: list[list[int]] = [[0]]
        used = self._width(0)
        for column in range(1, len(self.headings)):
            needed = len(_GAP) + self._width(column)
            if used + needed > width and len(groups[-1]) > 1:
                groups.append([0])
                used = self._width(0)
            groups[-1].append(column)
            used += needed
        return groups

    def _block(self, columns: Sequence[int]) -> str:
        rule = "-" * (sum(self._width(column) for column in columns) + len(_GAP) * (len(columns) - 1))
        lines = [self._text_line(self.headings, columns), rule]
        for index, line in enumerate(self.lines):
            if index in self.sections:
                lines.append(rule)
            lines.append(self._text_line(line, columns))
        return "\n".join(lines)

    def _text_line(self, cells: Sequence[str], columns: Iterable[int]) -> str:
        padded = [
            f"{cells[column]:<{self._width(column)}}"
            if self._is_left(column)
            else f"{cells[column]:>{self._width(column)}}"
            for column in columns
        ]
        return _GAP.join(padded).rstrip()

    def _is_left(self, column: int) -> bool:
        return column == 0 or self.headings[column] in self.left

    def _width(self, column: int) -> int:
        return max(len(line[column]) for line in (self.headings, *self.lines))


def _html_line(cells: Iterable[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
