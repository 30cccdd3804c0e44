"""Put the answers, plots, commands and tables of each experiment onto the page, a target after the other."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from paper_parts.running import RESULTS, command
from paper_parts.targets import TARGETS, PaperTarget

from arms.atomic_file import write_file

PAGE = RESULTS.parent / "paper.md"
MARK = re.compile(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", re.DOTALL)
Record = Mapping[str, object]


def write_page() -> None:
    """Write the page anew from the results."""
    write_file(PAGE, with_answers(PAGE.read_text(encoding="utf-8"), RESULTS))


def with_answers(page: str, results: Path) -> str:
    """Return a page with what was found between the marks `<!-- NAME -->` and `<!-- /NAME -->`; no figure is typed."""
    return MARK.sub(lambda found: _block(found[1], results), page)


def _block(name: str, results: Path) -> str:
    lines = [""]
    for target in TARGETS.values():
        path = results / f"{target.results}{name}.json"
        if name in target.lacking:
            lines += [f"*{target.title}*: not asked, since {target.lacking[name]}.", ""]
        elif path.is_file():
            lines += _found(name, json.loads(path.read_text(encoding="utf-8")), results, target)
        else:
            lines += [f"*{target.title}*: not measured yet: `{command(name, target)}`.", ""]
    return "\n".join([f"<!-- {name} -->", *lines, f"<!-- /{name} -->"])


def _found(name: str, record: Record, results: Path, target: PaperTarget) -> list[str]:
    pictures = sorted(path.name for path in results.glob(f"{target.results}{name}*.png"))
    said = f"{name.replace('_', ' ').capitalize()}, {target.title}"
    lines = [f"*{target.title}.* **{record['answer']}**", ""]
    for picture in pictures:
        lines += [f"![{said}](results/{picture})", ""]
    lines += [f"`{record['command']}`", "", '<details markdown="1">', "<summary>All rows</summary>", ""]
    return [*lines, *_table(record["rows"]), "", "</details>", ""]  # type: ignore[arg-type]


def _table(rows: Sequence[Record]) -> list[str]:
    heads = list(dict.fromkeys(head for row in rows for head in row))
    lines = [_line(heads), "|---|" + "---:|" * (len(heads) - 1)]
    return lines + [_line([_cell(row.get(head)) for head in heads]) for row in rows]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return f"{value['value']:.3f} [{value['low']:.3f},\N{NO-BREAK SPACE}{value['high']:.3f}]"
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


if __name__ == "__main__":
    write_page()
