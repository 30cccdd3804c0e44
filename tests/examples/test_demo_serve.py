"""The demo of the front door sends its prompts, shows two tables, and leaves nothing running."""

import re
import runpy
import urllib.error
import urllib.request
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "serving" / "demo_serve.py"


def test_every_request_is_in_the_table_and_the_front_door_ends_with_the_demo(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    runpy.run_path(str(SCRIPT))["main"](["--smoke"])
    shown = capsys.readouterr().out
    rows = dict(re.findall(r"^(plain|ngram) +(\d+) ", shown, re.MULTILINE))
    assert sum(map(int, rows.values())) == 16
    assert all(re.search(rf"^{kind} +(\d\.\d\d +){{3}}\d\.\d\d", shown, re.MULTILINE) for kind in ("edit", "chat"))
    page = re.search(r"page: (http://127\.0\.0\.1:\d+/draftpick)", shown)[1]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(page, timeout=1)
