"""The benchmark of arithmetics on a tiny model: what it compares and what it writes."""

import json
import runpy
from pathlib import Path

import pytest

from tests.support.tiny_models import save_tiny
from tests.support.tiny_pool import byte_tokenizer, queries, save_queries

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_arithmetics.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arithmetics")
    sizes = {"vocab_size": 257, "max_position_embeddings": 160, "hidden_size": 32, "intermediate_size": 64}
    save_tiny("llama_tied", folder / "target", **sizes)
    byte_tokenizer().save_pretrained(folder / "target")
    save_queries(folder / "prompts.jsonl", queries(4))
    return folder


def run(folder, *words):
    main = runpy.run_path(str(SCRIPT))["main"]
    target = ["--target", str(folder / "target"), "--prompts", str(folder / "prompts.jsonl"), "--n-prompts", "2"]
    return main([*target, "--max-new-tokens", "3", "--results", str(folder), "--cache", str(folder), *words])


def test_every_arithmetic_stands_beside_transformers_modes_of_its_dtype(folder):
    record = run(folder, "--assistant", str(folder / "target"), "--smoke")
    names = {"no draft, float32", "no draft, bfloat16", "no draft, int4_fast", "no draft, auto"}
    for dtype in ("float32", "bfloat16"):
        names |= {f"transformers {mode}, {dtype}" for mode in ("greedy", "prompt lookup 7", "assisted")}
    assert set(record["modes"]) == names
    assert record["texts"]["float32"]["no draft, float32"]["different"] == 0
    assert not (folder / "bench_arithmetics.json").exists()


def test_a_target_replaces_its_own_figures_only(folder):
    for name in ("one", "two", "one"):
        run(folder, "--name", name, "--arithmetics", "float32")
    written = json.loads((folder / "bench_arithmetics.json").read_text())
    assert sorted(written["targets"]) == ["one", "two"]
    assert len(written["bars"]) == 4
    assert written["targets"]["one"]["arithmetics"]["float32"]["dtype"] == "torch.float32"
