"""The benchmark of large sizes runs on tiny ones, and its page shows what it leaves."""

import json
import runpy
from pathlib import Path

from results_pages.scale import scale_page

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_scale.py"


def test_the_benchmark_of_scale_runs_and_its_page_shows_every_row_and_limit(tmp_path):
    assert "Not measured yet" in scale_page(tmp_path)
    record = runpy.run_path(str(SCRIPT))["main"](["--smoke"])
    assert [bar["bar"] for bar in record["bars"]] == [20, 5000, 600]
    assert all(row["ms"] > 0 for row in record["rows"])
    (tmp_path / "bench_scale.json").write_text(json.dumps(record))
    page = scale_page(tmp_path)
    assert all(row["name"] in page for row in record["rows"])
    assert all(bar["name"] in page for bar in record["bars"])
