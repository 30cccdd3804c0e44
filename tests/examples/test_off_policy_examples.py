"""The examples on off-policy evaluation run."""

import json
import runpy
from pathlib import Path

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
    assert result["bars"][0]["holds"]
    script["draw"](result["rows"], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000
    assert "true value" in capsys.readouterr().out
