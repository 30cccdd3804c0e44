"""The benchmarks of loading run on a tiny model, and their page shows what they leave."""

import json
import runpy
from pathlib import Path

import pytest
from results_pages.loading import loading_page

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


@pytest.mark.parametrize("name", ["bench_loading", "bench_quantised"])
def test_a_benchmark_of_loading_runs_and_its_page_shows_it(tmp_path, name):
    record = runpy.run_path(str(BENCHMARKS / f"{name}.py"))["main"](["--smoke"])
    (tmp_path / f"{name}.json").write_text(json.dumps(record))
    page = loading_page(tmp_path)
    assert "Not measured yet" in page  # the other one
    assert all(bar["name"] in page for bar in record["bars"])
    assert "int4" in page


def test_figures_of_an_earlier_version_stand_beside_the_new_ones(tmp_path):
    row = {
        "model": "m",
        "form": "int4",
        "state": "warm",
        "seconds": 2.0,
        "peak_gib": 1.5,
        "kept_gib": 0.25,
    }
    record = {"rows": [row], "before": [row | {"seconds": 9.0}], "bars": [], "load_average": 0.5}
    (tmp_path / "bench_loading.json").write_text(json.dumps(record))
    assert "| m, int4, warm | 9.0 | 2.0 | 1.5 | 1.5 | 0.25 |" in loading_page(tmp_path)
