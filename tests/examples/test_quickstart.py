import ast
import runpy
import sys
from pathlib import Path

from tiny_model import save_tiny_model

from speculative import Pool

SCRIPT = Path(__file__).parents[2] / "examples" / "quickstart.py"


def test_it_loads_drafts_learns_and_generates(tmp_path, monkeypatch, capsys):
    learn = Pool.learn
    monkeypatch.setattr(Pool, "learn", lambda self, prompts: learn(self, prompts, cache=tmp_path))
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), save_tiny_model(tmp_path / "model")])
    runpy.run_path(str(SCRIPT))
    printed = capsys.readouterr().out
    assert "48 tokens in" in printed
    assert "On 4 held-out prompts" in printed


def test_it_is_short():
    text = SCRIPT.read_text(encoding="utf-8")
    docstring = ast.parse(text).body[0]
    code = text.splitlines()[docstring.end_lineno :]
    assert len([line for line in code if line.strip()]) <= 20
