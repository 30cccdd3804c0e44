"""The benchmark beside other libraries runs, with or without them."""

import json
import runpy
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def script():
    return runpy.run_path(str(EXAMPLES / "benchmarks" / "bench_bandits.py"))


@pytest.fixture(scope="module")
def result():
    return script()["main"](["--smoke", "--only", "speed", "quality", "reinforce"])


def test_every_part_is_measured_and_serialisable(result):
    assert set(result["parts"]) == {"speed", "quality", "reinforce"}
    json.dumps(result, allow_nan=False)
    assert all({"name", "value", "bar", "holds"} <= set(bar) for bar in result["bars"])
    assert str(Path.home()) not in json.dumps(result)


def test_our_policies_learn_in_both_ways(result):
    rows = {(row["way"], row["data_set"], row["algorithm"]): row for row in result["parts"]["quality"]["rows"]}
    assert {key[0] for key in rows} == {"logged", "online"}
    assert rows["logged", "digits", "LinUCB"]["mean_reward"]["LinUCB"]["value"] > 0.3  # a random choice earns 0.1


def test_picture_and_page_show_what_was_measured(result, tmp_path):
    measured = json.loads((EXAMPLES.parent / "docs" / "results" / "bench_bandits.json").read_text(encoding="utf-8"))
    script()["draw"](measured["parts"], tmp_path / "bench_bandits.png")
    assert (tmp_path / "bench_bandits.png").stat().st_size > 5_000
    assert (tmp_path / "bench_bandits_rewards.png").stat().st_size > 5_000
    (tmp_path / "bench_bandits.json").write_text(json.dumps(result), encoding="utf-8")
    text = runpy.run_path(str(EXAMPLES / "benchmarks" / "make_results_pages.py"))["make_pages"](tmp_path)["bandits.md"]
    assert "Microseconds a row of LinTS and LinUCB" in text
    assert f"{result['parts']['reinforce']['training'][0]['rows_a_second']:,.0f}" in text
    assert "bench_bandits.png" in text
    assert "bench_bandits_rewards.png" in text


@pytest.mark.skipif(find_spec("mabwiser") is not None, reason="the peers are installed")
def test_a_full_run_without_the_peers_says_how_to_get_them(capsys):
    with pytest.raises(SystemExit, match="make bench-peers"):
        script()["main"](["--only", "speed"])
    assert "not installed" in capsys.readouterr().out


def test_interval_of_equal_values_is_a_point():
    from bandit_bench.quality import interval

    assert interval(np.full(5, 0.5)) == {"value": 0.5, "low": 0.5, "high": 0.5}


def test_ratio_is_of_medians():
    from bandit_bench.speed import ratio

    found = ratio(np.array([[1.0, 2.0], [1.0, 2.0], [9.0, 2.0]]), seed=0)
    assert found["ratio"] == 0.5
    assert found["low"] <= 0.5 <= found["high"]
