import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "quickstart.py"


def test_smoke_run_loads_drafts_learns_and_generates(capsys):
    runpy.run_path(str(SCRIPT))["main"](["--smoke"])
    printed = capsys.readouterr().out
    assert "8 tokens in" in printed
    assert "On 6 held-out prompts" in printed


def test_it_is_short():
    text = SCRIPT.read_text(encoding="utf-8")
    shown = text.split("[start:quickstart]")[1].split("[end:quickstart]")[0].splitlines()
    assert len([line for line in shown if line.strip()]) <= 20
