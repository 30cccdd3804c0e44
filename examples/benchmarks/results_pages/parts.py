"""What every page is made of: headings, tables, folded details, figures and where they come from."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
"""What a measuring script left in its JSON file."""

NOTICE = (
    "<!-- Written by examples/benchmarks/make_results_pages.py; change that script, or the JSON, not this page. -->"
)

MOST_COLUMNS = 6
_INTERVAL = re.compile(r"\[([-\d.,]+), ")

HOW_TO_READ = (
    "Brackets: 95 % bootstrap intervals over prompts. A policy's row is the measured time of the arms it chose plus "
    'its own measured time; "real run" is what it took when it ran itself.'
)


def read_record(path: Path) -> Record | None:
    """Return what a measuring script left, or None where it has not run.

    Raises:
        ValueError: naming the file, if it is not JSON.
    """
    if not path.is_file():
        return None
    try:
        record: Record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); measure again") from error
    return record


def page_head(title: str, summary: str) -> list[str]:
    """Return the lines that every page begins with."""
    return [NOTICE, "", f"# {title}", "", summary, ""]


def with_block(page: str, name: str, lines: Sequence[str]) -> str:
    """Return a page with other lines between the marks `<!-- name -->` and `<!-- /name -->`.

    Raises:
        ValueError: if the marks are missing.
    """
    block = re.compile(rf"(?<=<!-- {name} -->\n).*(?=<!-- /{name} -->\n)", re.DOTALL)
    if not block.search(page):
        raise ValueError(f"the page must have the lines <!-- {name} --> and <!-- /{name} -->, got none")
    return block.sub(lambda _: page_text(lines), page)


def missing(command: str) -> list[str]:
    """Return the lines of a page, or a section, that nothing was measured for."""
    return [f"Not measured yet. `{command}` measures it.", ""]


def page_text(lines: Sequence[str], more: Sequence[str] = ()) -> str:
    """Return the text of a page: never two empty lines, one line break at the end."""
    text = "\n".join([*lines, *more])
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table: the first column to the left, figures to the right."""
    aligned = "|---|" + "---:|" * (len(heads) - 1)
    return [_line(heads), aligned, *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    whole = (_INTERVAL.sub("[\\1,\N{NO-BREAK SPACE}", cell) for cell in cells)  # an interval stays on one line
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in whole) + " |"


def tables(heads: Sequence[str], rows: Sequence[Sequence[str]], most: int = MOST_COLUMNS) -> list[str]:
    """Return a table, or several of at most so many columns each; all begin with the first column."""
    n_tables = -(-(len(heads) - 1) // (most - 1))
    lines: list[str] = []
    for part in range(n_tables):
        chosen = [0, *_share(len(heads), part, n_tables)]
        lines += [*table([heads[i] for i in chosen], [[row[i] for i in chosen] for row in rows]), ""]
    return lines[:-1]


def _share(n_columns: int, part: int, n_tables: int) -> range:
    """Return the columns of one of several tables, which share all but the first evenly and in their order."""
    size, left = divmod(n_columns - 1, n_tables)
    begin = 1 + part * size + min(part, left)
    return range(begin, begin + size + (part < left))


def transposed(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Return the heads and rows of a table with rows and columns swapped; the corner stays."""
    columns = list(zip(heads, *rows, strict=True))
    return list(columns[0]), [list(column) for column in columns[1:]]


def details(summary: str, lines: Sequence[str]) -> list[str]:
    """Return lines that are folded away under a summary until a reader opens them; none where there are no lines."""
    if not any(lines):
        return []
    return ['<details markdown="1">', f"<summary>{summary}</summary>", "", *lines, "", "</details>", ""]


def picture(folder: Path, name: str, caption: str) -> list[str]:
    """Return the lines that show a picture, none where there is no such file."""
    return [f"![{caption}]({name})", ""] if (folder / name).is_file() else []


def three_digits(cell: Record) -> str:
    """Return a figure and its interval to three digits."""
    return _with_interval(cell, 3)


def two_digits(cell: Record) -> str:
    """Return a figure and its interval to two digits."""
    return _with_interval(cell, 2)


def _with_interval(cell: Record, digits: int) -> str:
    return f"{cell['value']:.{digits}f} [{cell['low']:.{digits}f}, {cell['high']:.{digits}f}]"


def bar_table(bars: Sequence[Record]) -> list[str]:
    """Return the folded table of the limits that the scripts watch."""
    rows = [[bar["name"], *_measured_and_limit(bar), "yes" if bar["holds"] else "no"] for bar in bars]
    note = "Limits that the measuring scripts watch from version to version, so that a loss is seen."
    return details("Limits that are watched", [note, "", *table(["figure", "measured", "limit", "kept"], rows)])


def _measured_and_limit(bar: Record) -> tuple[str, str]:
    """Return both figures; where the limit is missed, with as many digits as tell them apart."""
    value, limit, near = bar["value"], bar["bar"], bar.get("within_interval", False)
    decides, digits, more = bar["high"] if near else value, 3 if near else _digits(value), 0
    if not bar["holds"] and decides != limit:
        more = next(n for n in count() if round(decides, digits + n) != round(limit, _digits(limit) + n))
    has_interval = "low" in bar and value < 1000
    measured = _with_interval(bar, digits + more) if has_interval else f"{value:,.{digits + more}f}"
    return measured, f"at {'most' if bar.get('at_most') else 'least'} {limit:,.{_digits(limit) + more}f}"


def _digits(figure: float) -> int:
    return 0 if figure >= 1000 else 2


def origin(record: Record, summary: str = "Where the figures come from") -> list[str]:
    """Return the folded list of where figures come from; no lines where a record does not say."""
    lines = [f"- {machine_line(record)}"] if "machine" in record else []
    for key in ("command", "date", "seed", "max_new_tokens", "prompts", "settings"):
        if key in record:
            value = record[key]
            text = value if isinstance(value, str) else json.dumps(value)
            lines.append(f"- {key.replace('_', ' ')}: `{text}`")
    return details(summary, lines)


def machine_line(record: Record) -> str:
    """Return the machine and versions of a record in one sentence."""
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['accelerator'] or machine['processor']}, {machine['threads']} threads, "
        f"Python {machine['python']}, {versions}."
    )


def own_runs(record: Record) -> list[str]:
    """Return the speed of every mode that was timed, over those it is held against; nothing where none was."""
    runs = record.get("own_runs")
    if not runs:
        return []
    references = list(dict.fromkeys(key for run in runs for key in run if key.startswith("over ")))
    rows = [
        [
            run["mode"],
            f"{run['tokens_per_second']:.1f}",
            *(two_digits(run[key]) if key in run else "" for key in references),
            f"{run['n_texts_of_no_draft']} of {run['n_queries']}",
        ]
        for run in sorted(runs, key=lambda run: -run["tokens_per_second"])
    ]
    heads = ["", "tokens/s", *(key.replace("over ", "times ") for key in references), "texts as without a draft"]
    return [
        "### In wall-clock time",
        "",
        "Every mode answered each prompt in turn, in a random order; prefill, encoding and choosing count.",
        "",
        *tables(heads, rows),
        "",
    ]
