"""The bench of learning while serving runs, and its page says what it found."""

import json
import runpy
from pathlib import Path

from results_pages.learning import learning

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_online.py"


def test_learning_and_drift_are_measured_for_every_way_to_forget(capsys):
    script = runpy.run_path(str(SCRIPT))
    script["main"](["--smoke"])
    report = json.loads(capsys.readouterr().out)
    for way, row in report["drift"]["one arm slowed"].items():
        row["just_after"]["value"] = 1.0 if way == "none" else 1.1
    assert [bar["holds"] for bar in script["bars"](report) if "against none" in bar["name"]] == [False]
    assert set(report["drift"]["one arm slowed"]) == {"none", "discount", "window", "detector"}
    assert set(report["drift"]["arm added"]) == {"0 rows", "20 rows"}
    assert all(len(curve["blocks"]) == 20 for curve in report["curve"].values())
    settings = {
        "n": 100,
        "queries": 90,
        "of": "made up",
        "arms": [],
        "exploration": 0.05,
        "learn_every": 10,
        "seeds": 2,
    }
    page = "\n".join(learning({**report, "settings": settings | {"learn_every": 10}}))
    assert "## Learning from nothing" in page
    assert "| the best fixed arm takes twice as long: detector |" in page
