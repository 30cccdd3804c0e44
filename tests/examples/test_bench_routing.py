"""The bench of routing on a small made-up log: its figures and its page."""

import json
import runpy
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


def test_a_policy_with_segments_is_not_below_the_look_up(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    record = runpy.run_path(str(BENCHMARKS / "bench_routing.py"))["main"](["--smoke"])
    assert {row["way"] for row in record["rows"]} == {"every reward", "bandit feedback"}
    for row in record["rows"]:
        assert row["less_look_up"]["value"] >= 0
        assert row["values"]["oracle"]["value"] >= row["values"]["text and segment"]["value"]
        assert row["less_fixed"]["low"] > 0
    (tmp_path / "bench_routing.json").write_text(json.dumps(record), encoding="utf-8")
    page = runpy.run_path(str(BENCHMARKS / "make_results_pages.py"))["make_pages"](tmp_path)["routing.md"]
    assert "CostSave" in page
    assert "best arm by segment" in page
