"""The examples on off-policy evaluation run."""

import json
import runpy
from pathlib import Path

from results_pages.intervals import intervals_page

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name):
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def test_estimators_agree_with_the_formulas_written_out(capsys):
    result = run("benchmarks/check_obp")["main"](["--smoke", "--seed", "3"])
    assert result["bars"][0]["holds"]
    assert {row["estimator"] for row in result["rows"]} >= {"IPS", "SNIPS", "SelfNormalisedDR", "RejectionReplay"}
    json.dumps(result, allow_nan=False)
    assert "largest difference" in capsys.readouterr().out


def test_interval_bench_runs_and_draws(tmp_path, capsys):
    script = run("benchmarks/bench_intervals")
    result = script["main"](["--smoke"])
    json.dumps(result, allow_nan=False)
    printed = [row for row in result["rows"] if "coverage" in row]
    assert {row["environment"] for row in printed} == {"binary", "linear", "digits", "sharp", "many arms"}
    assert not {"ClippedIPS(5)", "Slope", "BalancedIPS"} & {row["estimator"] for row in printed}
    assert {row["interval"] for row in printed if row["estimator"] == "DirectMethod"} == {"refitted bootstrap"}
    leading = [row["coverage"] for row in printed if row["estimator"] == "DoublyRobust"]
    assert len(leading) == 5  # the bootstrap needs more queries
    assert sum(leading) / 5 > 0.85
    script["draw"](result["rows"], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000
    assert "bars hold" in capsys.readouterr().out


def test_compare_seldom_claims_a_difference_between_policies_of_equal_value():
    result = run("benchmarks/bench_type_one_error")["main"](["--smoke"])
    json.dumps(result, allow_nan=False)
    assert [row["kind"] for row in result["rows"]] == ["every reward", "bandit feedback", "log"]
    assert sum(row["type_one_error"] for row in result["rows"]) * 20 <= 9  # of 60; 5 % of them are 3


def test_the_page_of_intervals_shows_what_was_printed_and_why_not(tmp_path):
    assert intervals_page(tmp_path).count("Not measured yet") == 2
    for name in ("bench_intervals", "bench_type_one_error"):
        result = run(f"benchmarks/{name}")["main"](["--smoke"])
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    page = intervals_page(tmp_path)
    assert "### Binary, 500 rows" in page
    assert "| DirectMethod |" in page
    assert "how wrong the reward model may be" in page
    assert "| bandit feedback |" in page
