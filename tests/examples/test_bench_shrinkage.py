"""The bench of shrinkage runs, and tells each policy's value with either choice."""

import json
import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_shrinkage.py"


def test_every_policy_has_its_row(capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    runpy.run_path(str(SCRIPT))["main"](["--smoke"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["policy"] for row in rows} == {"LinUCB", "LinUCB, width 0", "LinTS", "LinTS, scale 0.2", "SquareCB"}
    assert all(0 <= row["by_difference"]["value"] <= 1 for row in rows)
