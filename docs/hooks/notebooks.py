"""Show notebooks as pages of the site, and run them to renew what they print.

    python docs/hooks/notebooks.py docs/tutorials/*.ipynb    # run every cell and store its output

A notebook is run cell by cell in one namespace, as a kernel would; nothing but Python is needed.
"""

import ast
import contextlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

Cell = dict[str, Any]


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each notebook beside the notebook itself, which stays for download."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            page = to_markdown(json.loads(Path(file.abs_src_path).read_text(encoding="utf-8")), file.name)
            files.append(File.generated(config, file.src_uri.removesuffix(".ipynb") + ".md", content=page))
    return files


def to_markdown(notebook: dict[str, Any], name: str) -> str:
    """Return a notebook as Markdown: text as it is, code fenced, and each output below its code."""
    parts = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
        else:
            parts.append(f"```python\n{text}\n```")
            parts += [_shown(output) for output in cell["outputs"]]
    parts.append(f"[Download this page as a notebook]({name}.ipynb).")
    return "\n\n".join(parts) + "\n"


def _shown(output: Cell) -> str:
    """Return one output as Markdown: HTML as it is, plain text in a block."""
    data = output.get("data", {})
    if "text/html" in data:
        return f'<div class="output" markdown="0">\n{"".join(data["text/html"])}\n</div>'
    text = "".join(output["text"] if output["output_type"] == "stream" else data["text/plain"])
    return f"```text\n{text.rstrip()}\n```"


def run(notebook: dict[str, Any], name: str = "notebook") -> list[list[Cell]]:
    """Run the code cells in their order, in one namespace, and return the outputs of each.

    Raises:
        RuntimeError: naming the cell, from the error that ended it.
    """
    names: dict[str, object] = {"__name__": "__main__"}
    code_cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [_run_cell("".join(cell["source"]), f"{name}, cell {i}", names) for i, cell in enumerate(code_cells, 1)]


def _run_cell(source: str, where: str, names: dict[str, object]) -> list[Cell]:
    tree = ast.parse(source, where)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(tree, where, "exec"), names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), where, "eval"), names)
        except Exception as error:
            raise RuntimeError(f"{where}: {type(error).__name__}: {error}") from error
    outputs: list[Cell] = []
    if printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(True)})
    if value is not None:
        outputs.append({"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": _data(value)})
    return outputs


def _data(value: object) -> dict[str, list[str]]:
    """Return what a notebook shows of a value: its HTML where it has one, and its repr."""
    data = {"text/plain": repr(value).splitlines(True)}
    make_html = getattr(value, "_repr_html_", None)
    if make_html is not None:
        data["text/html"] = make_html().splitlines(True)
    return data


def main(paths: Sequence[str]) -> None:
    """Run each notebook and write its outputs into it."""
    for path in map(Path, paths):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        outputs = iter(run(notebook, path.name))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"] = next(outputs)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
