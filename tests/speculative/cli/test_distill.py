"""`draftpick distill` on a tiny target: what it makes, prints and refuses."""

import json

import pytest

from tests.support.command_runner import refused, run_cli
from tests.support.tiny_pool import queries, save_pool, save_queries


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distill")
    save_pool(folder)
    save_queries(folder / "train.jsonl", queries(8))
    save_queries(folder / "test.jsonl", queries(4, first=50))
    return folder


def test_distill_makes_a_draft(place, tmp_path):
    arguments = ("distill", place / "train.jsonl", "--held-out", place / "test.jsonl", "--out", tmp_path / "mine")
    short = ("--epochs", 1, "--vocabulary", 32, "--cache", tmp_path)
    assert "exactly one of --pool and --target" in refused(*arguments)
    result = json.loads(run_cli(*arguments, *short, "--pool", place / "pool.toml", "--json").stdout)
    assert 0 <= result["value"] <= 1
    assert (tmp_path / "mine" / "model.safetensors").is_file()
    arguments = (*arguments[:-1], tmp_path / "other")
    shown = run_cli(*arguments, *short, "--target", place / "target", "--max-new-tokens", 6).stdout
    assert "of the target's next tokens on 4 held-out texts" in shown


def test_distill_makes_a_draft_for_each_domain(place, tmp_path):
    found = run_cli(
        *("distill", place / "train.jsonl", "--held-out", place / "test.jsonl", "--out", tmp_path / "mine"),
        *("--target", place / "target", "--max-new-tokens", 4, "--dtype", "bfloat16", "--cache", tmp_path),
        *("--kind", "feature_head", "--units", 8, "--epochs", 1, "--vocabulary", 32),
        *("--domains", "words, generalist, generalist_50"),
    )
    assert "generalist on letters: " in found.stdout
    for name in ("words", "generalist", "generalist_50"):
        assert json.loads((tmp_path / "mine" / name / "config.json").read_text())["intermediate_size"] == 8


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--kind", "feature_head", "--vocabulary", 32), "--start goes on with that head's own vocabulary"),
        ((), "give --kind feature_head too"),
        (("--kind", "feature_head", "--units", 8), "--start goes on with that head's own size"),
    ],
)
def test_distill_refuses_what_does_not_go_with_an_earlier_head(place, tmp_path, more, message):
    line = refused(
        *("distill", place / "train.jsonl", "--held-out", place / "test.jsonl", "--out", tmp_path / "mine"),
        *("--target", place / "target", "--cache", tmp_path, "--start", tmp_path / "head", *more),
    )
    assert message in line


def test_distill_refuses_prompts_on_both_sides(place, tmp_path):
    line = refused(
        *("distill", place / "train.jsonl", "--held-out", place / "train.jsonl"),
        *("--out", tmp_path / "mine", "--pool", place / "pool.toml", "--cache", tmp_path),
    )
    assert "must be disjoint" in line
