"""The measuring scripts on the real small models, a few prompts each."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.real_models


def run(name: str) -> dict[str, object]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](["--smoke"])


def test_bench_generation_measures_every_mode():
    result = run("bench_generation")
    assert {"no_draft", "LinUCB", "transformers greedy"} <= set(result["modes"])
    assert all(counts["different"] == 0 for counts in result["equality"].values())


def test_check_exactness_finds_equal_logits_texts_and_rounds():
    result = run("check_exactness")
    assert result["logits"]["own - transformers"] < 2e-4
    assert all(counts["different"] == 0 for counts in result["texts"].values())
    assert all(counts["different"] == 0 for counts in result["replayed_rounds"].values())


def test_bench_rewards_values_every_policy_on_every_reward():
    result = run("bench_rewards")
    assert len(result["rewards"]) == 6


def test_distill_drafts_measures_what_is_shipped():
    result = run("distill_drafts")
    assert set(result["matrix"]) == {"code", "maths"}
