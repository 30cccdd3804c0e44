"""The bench of regret runs without its peers, and prints every table."""

import json
import runpy
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


def test_every_table_has_its_rows(capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    runpy.run_path(str(BENCHMARKS / "bench_regret.py"))["main"](["--smoke"])
    found = {}
    for line in capsys.readouterr().out.splitlines():
        found |= json.loads(line)
    assert len(found["peers"]) == 10
    assert all(row["peer"] is None and row["ours"]["value"] > 0 for row in found["peers"])
    assert len(found["drift"]) == 18
    assert found["texts"] == []
    assert {row["policy"] for row in found["many_arms"]} == {"LinUCB", "LinTS"}
