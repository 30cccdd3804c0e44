"""The tutorials run from the first cell to the last, and show what they print."""

import json
import runpy
from pathlib import Path

import pytest

from tests.support.public_names import ROOT

HOOK = runpy.run_path(str(ROOT / "docs" / "hooks" / "notebooks.py"))
NOTEBOOKS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
REAL_MODELS = {"first_draft_choice"}  # these load the small models


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(notebook: dict) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def to_run() -> list[object]:
    marks = {path: [pytest.mark.real_models] if path.stem in REAL_MODELS else [] for path in NOTEBOOKS}
    return [pytest.param(path, id=path.stem, marks=marks[path]) for path in NOTEBOOKS]


@pytest.mark.parametrize("path", to_run())
def test_every_cell_runs_and_shows_what_is_stored(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = read(path)
    run = HOOK["run"](notebook, path.name)
    stored = [cell["outputs"] for cell in code_cells(notebook)]
    kinds = [[[output["output_type"] for output in outputs] for outputs in cells] for cells in (run, stored)]
    assert kinds[0] == kinds[1], f"renew it: python docs/hooks/notebooks.py {path.relative_to(ROOT)}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_a_page_with_its_code_and_outputs(path):
    notebook = read(path)
    page = HOOK["to_markdown"](notebook, path.stem)
    assert page.startswith("# ")
    assert page.count("```python") == len(code_cells(notebook))
    assert f"({path.stem}.ipynb)" in page


def cell(source: str) -> dict:
    return {"cell_type": "code", "source": source.splitlines(True), "outputs": []}


def test_cells_share_names_print_and_show_their_last_value():
    outputs = HOOK["run"]({"cells": [cell("x = 2"), cell("print(x)\nx + 1")]})
    assert outputs[0] == []
    assert [output["output_type"] for output in outputs[1]] == ["stream", "execute_result"]
    assert outputs[1][1]["data"] == {"text/plain": ["3"]}


def test_a_cell_that_raises_is_named():
    with pytest.raises(RuntimeError, match=r"lesson, cell 2: ZeroDivisionError"):
        HOOK["run"]({"cells": [cell("x = 0"), cell("1 / x")]}, "lesson")
