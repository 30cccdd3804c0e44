"""What the pages of docs/integrations show runs, in as few lines as they promise."""

import re
import runpy
from pathlib import Path

from tiny_model import save_tiny_model

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "examples" / "integrations"
MOST_LINES = 10


def test_a_choice_in_transformers_takes_ten_lines_and_serves_every_query(tmp_path, capsys):
    script = SCRIPTS / "choose_in_transformers.py"
    shown = re.search(r"\[start:task\]\n(.*)# --8<-- \[end:task\]", script.read_text(), re.DOTALL)[1]
    assert len([line for line in shown.splitlines() if line.strip()]) <= MOST_LINES
    runpy.run_path(str(script))["main"]([save_tiny_model(tmp_path / "model"), "--n", "6", "--max-new-tokens", "4"])
    counts = dict(re.findall(r"(\w+) (\d+)", capsys.readouterr().out))
    assert set(counts) <= {"no_draft", "prompt_lookup_7"}
    assert sum(map(int, counts.values())) == 6
