"""What every page is made of: headings, tables, bars, figures and where they come from."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
"""What a measuring script left in its JSON file."""

NOTICE = (
    "<!-- Written by examples/benchmarks/make_results_pages.py; change that script, or the JSON, not this page. -->"
)

HOW_TO_READ = (
    "Brackets: 95 % bootstrap intervals over prompts. A policy's row is the measured time of the arms it picked plus "
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
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def picture(folder: Path, name: str, caption: str) -> list[str]:
    """Return the lines that show a picture, none where there is no such file."""
    return [f"![{caption}]({name})", ""] if (folder / name).is_file() else []


def three_digits(cell: Record) -> str:
    """Return a figure and its interval to three digits."""
    return f"{cell['value']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"


def two_digits(cell: Record) -> str:
    """Return a figure and its interval to two digits."""
    return f"{cell['value']:.2f} [{cell['low']:.2f}, {cell['high']:.2f}]"


def bar_table(bars: Sequence[Record]) -> list[str]:
    """Return the table of what a script is meant to reach, with its heading."""
    rows = [[bar["name"], _measured(bar), _needed(bar), "yes" if bar["holds"] else "no"] for bar in bars]
    return ["## What it is meant to reach", "", *table(["", "measured", "needed", "reached"], rows), ""]


def _measured(bar: Record) -> str:
    if bar["value"] >= 1000:
        return f"{bar['value']:,.0f}"
    if "low" not in bar:
        return f"{bar['value']:.2f}"
    return three_digits(bar) if bar.get("within_interval") else two_digits(bar)


def _needed(bar: Record) -> str:
    number = f"{bar['bar']:,.0f}" if bar["bar"] >= 1000 else f"{bar['bar']:.2f}"
    return f"at most {number}" if bar.get("at_most") else number


def origin(record: Record, heading: str = "## Where the figures come from") -> list[str]:
    """Return the list of where figures come from; no lines where a record does not say."""
    lines = [heading, ""]
    if "machine" in record:
        lines.append(f"- {machine_line(record)}")
    for key in ("command", "date", "seed", "max_new_tokens", "prompts", "settings"):
        if key in record:
            value = record[key]
            text = value if isinstance(value, str) else json.dumps(value)
            lines.append(f"- {key.replace('_', ' ')}: `{text}`")
    return lines if len(lines) > 2 else []


def machine_line(record: Record) -> str:
    """Return the machine and versions of a record in one sentence."""
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['accelerator'] or machine['processor']}, {machine['threads']} threads, "
        f"Python {machine['python']}, {versions}."
    )
