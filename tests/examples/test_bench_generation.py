"""The benchmark of generation on tiny models: what it writes, what it keeps, and that its peers are set up fairly."""

import json
import runpy
import shutil
from pathlib import Path

import pytest
import torch
from generation_bench.batch import best_arms
from generation_bench.costs import timed_forwards
from generation_bench.earlier_outputs import fill_stores, n_leaked, without_own_outputs
from generation_bench.figures import limit_bar
from generation_bench.pass_parts import bytes_per_weight, pass_parts, weight_bytes
from generation_bench.peers import greedy_batch, load_assistant, load_peer
from generation_bench.rules import threshold_modes, ucb_arms
from generation_bench.sampling import sampling_costs
from safetensors.torch import load_file, save_file

from speculative.collection.tracing import trace_queries
from speculative.drafts.draft_model import VOCABULARY_FILE, DraftModel
from speculative.measuring.wall_clock import arm_mode, transformers_mode
from speculative.models.tokenizer import tokenizer_fingerprint
from speculative.pools.pool import Pool
from speculative.protocols.token_batch import TokenBatch
from tests.support.tiny_models import save_tiny
from tests.support.tiny_pool import POOL, byte_tokenizer, queries, save_pool, save_queries

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_generation.py"
SUFFIXES = '\n[[arms]]\nkind = "suffix"\ndraft_length = 3\n\n[[arms]]\nkind = "suffix"\ndraft_length = 6\n'
KEPT = [0, *range(20, 257)]  # target ids of the trimmed draft; its own id 0 stands for all others


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Float32 pool, 4-bit pool, prompts, and a draft with a vocabulary of its own."""
    folder = tmp_path_factory.mktemp("bench")
    trimmed = '\n[[arms]]\nkind = "draft_model"\nmodel = "trimmed"\ndraft_length = 3\n'
    save_pool(folder, pool=POOL + SUFFIXES + trimmed)
    sizes = {"vocab_size": 257, "max_position_embeddings": 160, "hidden_size": 32, "intermediate_size": 64}
    save_tiny("llama_tied", folder / "target", **sizes)
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(folder / "target")
    _trim(folder / "small", folder / "trimmed", tokenizer_fingerprint(tokenizer))
    (folder / "int4.toml").write_text('weights = "int4"\n' + POOL)
    save_queries(folder / "prompts.jsonl", queries(12))
    return folder


def _trim(source, folder, fingerprint):
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": len(KEPT)}))
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"][KEPT].contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / VOCABULARY_FILE).write_text(json.dumps({"tokenizer": fingerprint, "target_ids": KEPT}))


@pytest.fixture(scope="module")
def pool(folder):
    return Pool.load(folder / "pool.toml")


@pytest.fixture(scope="module")
def peer(pool):
    return load_peer(pool.target, torch.float32)


def run(folder, *arguments):
    options = [
        "--pool",
        folder / "pool.toml",
        "--int4-pool",
        folder / "int4.toml",
        "--prompts",
        folder / "prompts.jsonl",
    ]
    return runpy.run_path(str(SCRIPT))["main"]([str(option) for option in (*options, "--threads", 1, *arguments)])


@pytest.fixture(scope="module")
def smoke(folder):
    return run(folder, "--smoke")


def test_every_part_is_measured_and_its_bars_are_collected(smoke):
    assert list(smoke["parts"]) == ["single", "batch", "int4", "costs"]
    assert smoke["bars"] == [bar for part in smoke["parts"].values() for bar in part["bars"]]
    assert len(smoke["bars"]) == 14
    assert all({"name", "value", "bar", "holds"} <= set(bar) for bar in smoke["bars"])
    for part in smoke["parts"].values():
        assert part["prompts"]["sha256"]
        assert part["machine"]["threads"] == 1
        assert "/" not in part["command"].removeprefix("python examples/benchmarks/bench_generation.py")


def test_every_mode_writes_one_text(smoke):
    single, batch, int4 = (smoke["parts"][name]["equality"] for name in ("single", "batch", "int4"))
    assert {"MetaSD", "UCBSpec", "transformers assistant trimmed 3", "transformers assistant small 2"} <= set(single)
    assert {"suffix_6 from 4 matching, else suffix_3", "LinUCB (real run)"} <= set(single)
    assert {"no_draft, batch 8", "transformers greedy, batch 8"} <= set(batch)
    assert {"no_draft (batch-invariant)", "prompt_lookup_7"} <= set(int4)
    for counts in (single, batch, int4):
        assert all(row["different"] == 0 for row in counts.values())
    assert smoke["parts"]["single"]["measured_texts_in_stores"] == 0


def test_a_part_replaces_its_own_figures_and_keeps_the_others(folder, tmp_path):
    small = ["--results", tmp_path, "--n-test", "2", "--n-batch", "2", "--n-train", "2", "--max-new-tokens", "4"]
    run(folder, *small, "--only", "batch")
    first = json.loads((tmp_path / "bench_generation.json").read_text())
    result = run(folder, *small, "--only", "int4")
    stored = json.loads((tmp_path / "bench_generation.json").read_text())
    assert stored == json.loads(json.dumps(result))
    assert stored["parts"]["batch"] == first["parts"]["batch"]
    assert [bar["name"] for bar in stored["bars"]] == [
        "batch 8 over batch 1, no draft",
        "4 bits, best arm, over transformers' fastest mode of any dtype",
    ]
    timings = json.loads((tmp_path / "bench_generation_runs.json").read_text())
    assert set(timings) == {"batch", "int4"}
    assert all(row["n_tokens"] >= 1 and "token_ids" not in row for rows in timings.values() for row in rows)


def test_a_trimmed_draft_proposes_the_same_in_transformers(folder, pool):
    draft = next(draft for draft in pool.drafts if draft.name == "draft_trimmed")
    assert isinstance(draft, DraftModel)
    assistant = load_assistant(str(folder / "trimmed"), 257, 3)
    prompt = [5, 30, 40, 50, 7, 60]  # 5 and 7 are unknown to it
    with torch.inference_mode():
        logits = assistant(torch.tensor([prompt])).logits[0]
    ids = draft.to_draft(torch.tensor(prompt))
    own = draft.model.forward(TokenBatch(ids, [len(ids)]), draft.model.new_cache(1)).logits
    torch.testing.assert_close(logits[:, KEPT[1:]], own[:, 1:], atol=1e-4, rtol=1e-4)
    assert logits[:, [1, 19, 0]].max() < -1e8
    assert assistant.generation_config.num_assistant_tokens == 3


def test_assisted_generation_writes_the_targets_text_and_uses_the_assistant(folder, pool, peer):
    assistant = load_assistant(str(folder / "trimmed"), 257, 3)
    query = queries(1)[0]
    with timed_forwards([assistant]) as forwards:
        run = transformers_mode(pool.target, peer, "assisted", assistant_model=assistant)(query)
    assert len(forwards) > 3
    assert run.token_ids == arm_mode(pool.arms["no_draft"])(query).token_ids


def test_batches_of_transformers_write_each_prompts_own_text(pool, peer):
    asked = queries(5)
    runs = greedy_batch(pool.target, peer, asked, 4)
    alone = transformers_mode(pool.target, peer, "greedy")
    assert [run.token_ids for run in runs] == [alone(query).token_ids for query in asked]


def test_no_text_that_is_measured_is_in_a_store(folder):
    pool = Pool.load(folder / "pool.toml")
    train, held_out = (trace_queries(asked, pool.arms, pool.encoder) for asked in (queries(4), queries(4, first=4)))
    fill_stores(pool, [trace.new_ids for trace in train])
    texts = [trace.new_ids for trace in held_out]
    assert all(len(text) == 20 for text in texts)
    assert n_leaked(pool, texts) == 0
    fill_stores(pool, texts[:1])
    assert n_leaked(pool, texts) == 1


def test_a_training_trace_knows_other_outputs_but_not_its_own(pool):
    traces = trace_queries(queries(2), pool.arms, pool.encoder)
    same = [traces[0], traces[0], traces[1]]  # the first two are each other's other half
    found = without_own_outputs(same, pool)
    n_known = [int(trace.drafts["suffix"].accepted.sum()) for trace in found]
    n_own = [int(trace.drafts["suffix"].accepted.sum()) for trace in same]
    assert n_known[0] > n_own[0]
    assert n_known[2] == n_own[2]
    assert found[0].drafts["prompt_lookup"] == same[0].drafts["prompt_lookup"]


def test_rules_are_made_from_the_pools_arms(pool):
    assert list(threshold_modes(pool)) == [
        "prompt_lookup_7 from 4 matching, else prompt_lookup_3",
        "prompt_lookup_3 from 2 matching, else draft_small_2",
        "suffix_6 from 4 matching, else suffix_3",
        "suffix_3 from 2 matching, else draft_small_2",
    ]
    assert ucb_arms(pool) == ["prompt_lookup_3", "draft_small_2", "suffix_3", "draft_trimmed_3"]


def test_the_best_arms_are_those_measured_fastest(pool):
    speeds = {name: {"tokens_per_second": float(i)} for i, name in enumerate(pool.arms.names)}
    assert best_arms(pool, {"modes": speeds}) == ["no_draft", "draft_trimmed_3", "suffix_6"]
    assert best_arms(pool, None) == best_arms(pool, {"modes": {}}) == ["no_draft", "prompt_lookup_3", "prompt_lookup_7"]


def test_parts_of_a_pass_are_timed_and_the_functions_put_back(pool):
    model = pool.target.model
    before = torch.nn.functional.rms_norm
    assert set(pass_parts(model, 2, 8, 2)) == {"matrix products", "attention", "norms", "rest"}
    assert torch.nn.functional.rms_norm is before
    assert bytes_per_weight(model) == (4.0, 4.0)
    config = model.config
    n_weights = sum(t.numel() for t in load_file(pool.target.folder / "model.safetensors").values() if t.ndim == 2)
    assert weight_bytes(config, 1.0, 1.0) == n_weights  # embedding and head are one matrix


def test_sampling_is_timed_by_the_row(pool):
    rows = sampling_costs(pool.target, pool.target.request(queries(1)[0]), n_repeats=2)
    assert len(rows) == 3
    assert all(milliseconds > 0 for milliseconds in rows.values())


@pytest.mark.parametrize(("value", "holds"), [(0.29, True), (0.31, False)])
def test_a_limit_holds_below(value, holds):
    assert limit_bar("x", value, 0.3)["holds"] is holds
