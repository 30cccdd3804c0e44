"""The bench of the budget runs, and no adversary gets beyond it."""

import json
import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_guard.py"


def test_no_adversary_gets_beyond_the_budget_and_one_round(capsys):
    runpy.run_path(str(SCRIPT))["main"](["--smoke"])
    report = json.loads(capsys.readouterr().out)
    assert all(bar["holds"] for bar in report["bars"])
    assert len(report["bars"]) == 9
