"""The measuring scripts on the real small models, a few prompts each."""

import runpy
from pathlib import Path

import pytest

from rewards import REWARDS

EXAMPLES = Path(__file__).parents[2] / "examples"
pytestmark = pytest.mark.real_models


def run(name: str, *arguments: str) -> dict[str, object]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"](["--smoke", *arguments])


def test_bench_generation_measures_four_bits_and_batch_invariant_texts_are_equal():
    """Its other parts run on tiny models, in test_bench_generation.py."""
    equality = run("benchmarks/bench_generation", "--only", "int4")["parts"]["int4"]["equality"]
    invariant = [counts for name, counts in equality.items() if name.endswith("(batch-invariant)")]
    assert len(invariant) == 2
    assert all(counts["identical"] == 2 for counts in invariant)


def test_check_exactness_finds_equal_logits_texts_and_rounds():
    result = run("benchmarks/check_exactness")
    assert result["logits"]["own - transformers"] < 2e-4
    assert all(counts["different"] == 0 for counts in result["texts"].values())
    assert all(counts["different"] == 0 for counts in result["replayed_rounds"].values())
    assert {name: counts["identical"] for name, counts in result["switching"]["texts"].items()} == {
        f"{way}, batch {size}": 2 for way in ("greedy", "coupled") for size in (1, 8)
    }


def test_bench_rewards_values_every_policy_on_every_reward():
    result = run("benchmarks/bench_rewards")
    assert len(result["rewards"]) == 6
    assert {formula.partition("(")[0] for formula in result["reward_seconds"]} == {*REWARDS, "paper"}
    assert all(one["own"] is None or one["own"] > 0 for one in result["label_seconds"].values())


def test_a_head_is_distilled_and_measured_beside_what_is_shipped():
    result = run("benchmarks/bench_feature_head")
    assert list(result["matrix"]) == ["head", "maths", "code"]
    assert set(result["costs"]) == set(result["matrix"])


def test_distill_drafts_measures_what_is_shipped(tmp_path):
    result = run("benchmarks/distill_drafts", "--texts", str(tmp_path / "texts"))
    assert set(result["matrix"]) == {"code", "maths"}
