"""The experiments of the paper run on a handful of made-up traces, and refuse what does not belong together."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from paper_parts.choosing import Asked, choices_of
from paper_parts.collecting import collect_own_texts
from paper_parts.label_seconds import measure_labels
from paper_parts.labels import DraftSpeed, paper_reward
from paper_parts.packing import pack, texts_of
from paper_parts.prompts import same_queries
from paper_parts.running import Options
from paper_parts.stored import COSTS, LABELS, read_stored
from paper_parts.targets import TARGETS

from arms import Query
from bandits import FullInformationData
from bandits.data.closed_folder import MANIFEST, Manifest, close_folder, survey
from speculative.collection.collect import collect
from speculative.collection.trace import Trace
from speculative.collection.trace_store import KIND, write_traces
from speculative.measuring.cost_profile import CostProfile, DraftCost
from speculative.pools.pool import Pool
from speculative.protocols.draft_trace import DraftTrace
from tests.support.tiny_pool import plain_costs, queries, save_pool

SCRIPTS = Path(__file__).parents[2] / "examples" / "paper"
LENGTHS = {
    "prompt_lookup": (3,),
    "suffix": (3, 11),
    "draft_maths": (4,),
    "draft_code": (4,),
    "early_exit_6": (3,),
    "early_exit_12": (3,),
    "early_exit_18": (3,),
    "early_exit_24": (3,),
}
MAIN = TARGETS["smollm2"].main
ARM_NAMES = {"draft_maths": "draft_maths_4", "draft_code": "draft_code_4"}
SECONDS = {"draft_maths": 0.1, "draft_code": 0.1, "early_exit_6": 0.2, "early_exit_12": 0.4, "early_exit_18": 0.6}
HELPFUL = {"maths": "draft_maths", "code": "draft_code", "prose": "suffix"}


def facts():
    arms = {"no_draft": ("no_draft", 0)}
    for draft, lengths in LENGTHS.items():
        arms |= {ARM_NAMES.get(draft, f"{draft}_{length}"): (draft, length) for length in lengths}
    told = {f"arm {name}": {"drafts": [[*arm[:1], "x", arm[1]]], "min_match_lengths": []} for name, arm in arms.items()}
    return {"target": "t", "target_name": "tiny", "encoder": "e", "arms": list(arms), **told}


def trace(query_id, domain, rng, n_new=24):
    shares = dict.fromkeys(LENGTHS, 0.1) | {HELPFUL[domain]: 0.9}
    drafts = {}
    for draft, share in shares.items():
        hits = rng.random((n_new, 11)) < share
        accepted = np.minimum(np.cumprod(hits, axis=1).sum(axis=1), n_new - 1 - np.arange(n_new)).astype(np.int32)
        matches = accepted if draft in ("suffix", "prompt_lookup") else None
        drafts[draft] = DraftTrace(np.full(n_new, 11, dtype=np.int32), np.maximum(accepted, 0), matches)
    context = np.eye(len(HELPFUL))[list(HELPFUL).index(domain)] + rng.normal(0, 0.1, len(HELPFUL))
    return Trace(
        query_id=query_id,
        domain=domain,
        prompt_ids=tuple(range(8)),
        new_ids=tuple(range(n_new)),
        max_new_tokens=n_new,
        max_draft_length=11,
        context=context.astype(np.float32),
        encode_s=0.0,
        drafts=drafts,
        encoder="e",
    )


def costs():
    drafts = {draft: DraftCost(0.01, SECONDS.get(draft, 0.0), 0.0) for draft in LENGTHS}
    grid = ((1.0, 1.1), (1.0, 1.1))
    return CostProfile("k", (1, 12), (0, 64), grid, 0.0, (8, 16), (1.0, 1.2), drafts, 0.0, "made up", 2)


def write_side(folder, traces, made_of):
    folder.mkdir(parents=True)
    write_traces(folder, 0, traces)
    close_folder(folder, Manifest(KIND, survey(folder, KIND).parts, made_of=made_of))
    rows = []
    for one in traces:
        row = {"query_id": one.query_id, "text": f"the words of {one.query_id}"}
        for draft in ("draft_maths", "draft_code", "early_exit_6", "early_exit_18"):
            good = draft == HELPFUL[one.domain]
            row |= {f"own {draft}": row["text"] if good else "of", f"own_s {draft}": 1.0, f"trace_s {draft}": 0.05}
        rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows), texts_of(folder.parent, folder.name))


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    return write_stored(tmp_path_factory.mktemp("paper") / "traces")


def write_stored(folder, otherwise_of=None, first_id="test-0"):
    rng, domains = np.random.default_rng(0), list(HELPFUL)
    sides = {
        side: [trace(f"{side}-{i}", domains[i % 3], rng) for i in range(n)] for side, n in (("train", 24), ("test", 12))
    }
    sides["otherwise"] = [replace(sides["test"][0], query_id=first_id), *sides["test"][1:]]
    for side, own in sides.items():
        write_side(folder / side, own, (otherwise_of or facts()) if side == "otherwise" else facts())
    (folder / COSTS).mkdir()
    for name in (MAIN, "float32, 1 thread", "int4, 2 threads", "int4, 1 thread"):
        (folder / COSTS / f"{name}.json").write_text(costs().to_json())
    return folder


def run(name, traces, folder):
    words = ["--traces", str(traces), "--results", str(folder), "--seeds", "1"]
    return runpy.run_path(str(SCRIPTS / f"{name}.py"))["main"](words)


@pytest.fixture(scope="module")
def found(traces):
    return run("one_domain", traces, traces.parent), traces.parent


def test_an_experiment_writes_its_rows_its_answer_and_its_plot(found):
    result, folder = found
    assert json.loads((folder / "paper_one_domain.json").read_text()) == result
    assert (folder / "paper_one_domain.png").stat().st_size > 5_000
    speeds = {(row["domain"], row["name"]): row["times no_draft"]["value"] for row in result["rows"]}
    for domain in ("maths", "code"):
        assert speeds[domain, "REINFORCE"] == pytest.approx(speeds[domain, f"draft_{domain}_4"], rel=0.01)
        assert speeds[domain, "REINFORCE"] > speeds[domain, "random"] > 1


def test_the_page_shows_every_answer_between_its_marks(found):
    result, folder = found
    page = runpy.run_path(str(SCRIPTS / "make_page.py"))["with_answers"]
    text = page("before\n<!-- one_domain -->\nold\n<!-- /one_domain -->\nafter\n", folder)
    assert "old" not in text
    assert result["answer"] in text
    assert "results/paper_one_domain.png" in text


def test_the_page_says_why_a_target_does_not_answer(found):
    page = runpy.run_path(str(SCRIPTS / "make_page.py"))["with_answers"]
    text = page("<!-- quality -->\nold\n<!-- /quality -->", found[1])
    qwen = TARGETS["qwen"]
    assert f"*{qwen.title}*: not asked, since {qwen.lacking['quality']}." in text


def test_a_generalist_stands_beside_the_choice_among_specialists(traces):
    stored = read_stored(traces)
    stored = replace(stored, target=replace(stored.target, generalist="suffix_11"))
    experiment = runpy.run_path(str(SCRIPTS / "generalist.py"))["experiment"]
    rows = experiment(stored, Options([0], traces)).rows
    assert {row["name"] for row in rows if row["setting"] == "with the generalist"} > {"suffix_11", "REINFORCE"}
    assert "suffix_11" not in {row["name"] for row in rows if row["setting"] == "specialists"}


def test_a_target_without_a_generalist_is_refused_by_the_experiment_that_needs_one(traces):
    with pytest.raises(ValueError, match="needs a draft that learned from all domains, which SmolLM2"):
        run("generalist", traces, traces.parent)


def test_sides_of_different_pools_are_refused(tmp_path):
    other = facts() | {"target": "another"}
    with pytest.raises(ValueError, match="otherwise was traced with another target than"):
        read_stored(write_stored(tmp_path / "traces", otherwise_of=other))


def test_a_paraphrased_side_of_other_queries_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must hold the queries of .*'test-0' against 'x'"):
        read_stored(write_stored(tmp_path / "traces", first_id="x"))


def test_a_paraphrase_file_of_other_queries_is_refused():
    asked = [Query(id=name, prompt="Why?") for name in "ab"]
    with pytest.raises(ValueError, match=r"more.jsonl must hold the 2 test queries asked otherwise, got 1"):
        same_queries(asked, asked[:1], Path("more.jsonl"))
    with pytest.raises(ValueError, match=r"more.jsonl must hold the test queries in order: expected id 'a', got 'b'"):
        same_queries(asked, asked[::-1], Path("more.jsonl"))


def test_a_weight_outside_0_and_1_is_refused():
    with pytest.raises(ValueError, match=r"weight must be a finite number in \[0, 1\], got 1.1"):
        paper_reward(1.1, DraftSpeed({"a": 1.0}))


def test_an_arm_that_was_not_traced_is_refused(traces):
    with pytest.raises(ValueError, match=r"the arm must be one of no_draft, .*, got 'medusa_2'"):
        read_stored(traces).plan("medusa_2")


def test_traces_of_a_pool_that_the_experiments_do_not_know_are_refused(traces):
    known = read_stored(traces).target
    with pytest.raises(ValueError, match=r"must be all those of pool_other.toml, got no_draft, prompt_lookup_3"):
        read_stored(traces, {"other": replace(known, exits=("early_exit_7_3",))})


def test_costs_that_lack_a_draft_are_refused(tmp_path):
    folder = write_stored(tmp_path / "traces")
    prices = costs()
    path = folder / COSTS / "int4, 1 thread.json"
    path.write_text(replace(prices, drafts={"suffix": prices.drafts["suffix"]}).to_json())
    with pytest.raises(ValueError, match=r"int4, 1 thread.json cannot price traces: it lacks draft_code; it lacks"):
        read_stored(folder)


def test_texts_of_other_queries_are_refused(tmp_path):
    folder = write_stored(tmp_path / "traces")
    texts_of(folder, "train").write_bytes(texts_of(folder, "test").read_bytes())
    with pytest.raises(
        ValueError, match=r"train-texts.parquet must hold the texts of the queries in .*train, in order"
    ):
        read_stored(folder)


def test_a_side_that_was_not_packed_to_its_end_is_refused(tmp_path):
    folder = write_stored(tmp_path / "traces")
    (folder / "test" / MANIFEST).unlink()
    with pytest.raises(ValueError, match="test"):
        read_stored(folder)


def test_a_pool_of_other_arms_is_refused_before_anything_is_traced(tmp_path):
    main = runpy.run_path(str(SCRIPTS / "make_traces.py"))["main"]
    words = ["--pool", str(save_pool(tmp_path)), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    with pytest.raises(ValueError, match=r"must be all those of pool_smollm2.toml, got no_draft, prompt_lookup_3"):
        main(words)
    assert not (tmp_path / "work").exists()


def test_domains_without_a_query_are_refused(traces):
    with pytest.raises(ValueError, match=r"the train side must hold queries of translate, got none"):
        choices_of(read_stored(traces), Asked(["no_draft"], ("translate",)), [0])


def test_both_kinds_of_label_are_timed_on_the_same_queries_and_compared(tmp_path, traces):
    measure_labels(Pool.load(save_pool(tmp_path)), queries(4), ["no_draft", "draft_small_2"], tmp_path, 0.0, (4, 8))
    rows = json.loads((tmp_path / LABELS).read_text())
    assert [(row["query_id"], row["new_tokens"]) for row in rows] == [(f"q{i}", n) for n in (4, 8) for i in range(4)]
    assert {row["draft"] for row in rows} == {"draft_small"}
    assert all(row["own_s"] > 0 < row["replay_s"] for row in rows)
    rows = [row | {"own_s": 2.0, "replay_s": 0.1} for row in rows]
    found = runpy.run_path(str(SCRIPTS / "label_price.py"))["experiment"](
        replace(read_stored(traces), label_seconds=rows), None
    )
    shares = [(row["draft"], row["new tokens"], row["replay over own text"].value) for row in found.rows]
    assert shares == [(draft, n, pytest.approx(0.05)) for n in (4, 8) for draft in ("draft_small", "all")]
    assert found.answer.endswith("The aim of at most a tenth is met.")


def test_what_is_collected_is_packed_with_the_texts_that_drafts_write_alone(tmp_path, capsys):
    pool, asked = Pool.load(save_pool(tmp_path)), queries(4)
    prices = plain_costs("prompt_lookup", "draft_small")
    for side in ("train", "test", "otherwise"):
        collect(asked, pool, tmp_path / side, prices)
        if side != "otherwise":
            for _ in range(2):  # the second time all are there
                collect_own_texts(pool, asked, tmp_path / side, ["no_draft", "draft_small_2"])
                assert capsys.readouterr().out == f"{side}: own texts of 4 of 4 queries\n"
    out = tmp_path / "traces"
    pack(tmp_path, out, ("train", "test", "otherwise"), pool.target)
    (out / COSTS).mkdir()
    (out / COSTS / f"{MAIN}.json").write_text(prices.to_json())
    known = TARGETS["smollm2"]
    own = replace(
        known, look_ups=("prompt_lookup_3",), specialists={}, exits=(), writers=("draft_small_2",), by_number=()
    )
    stored = read_stored(out, {"tiny": own})
    data = stored.data("test", ["no_draft", "prompt_lookup_3", "draft_small_2"])
    whole = FullInformationData.load(tmp_path / "test")
    assert data.costs.tolist() == whole.costs[:, [0, 1, 3]].tolist()
    assert [row[0].text for row in data.observations] == [row[0].text for row in whole.observations]
    own = [[one.own_text is not None for one in row] for row in data.observations]
    assert own == [[True, False, True]] * 4
