"""The experiments of the paper run on a handful of made-up traces, and refuse what does not belong together."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from paper_parts.choosing import Asked, choices_of
from paper_parts.collecting import collect_own_texts
from paper_parts.labels import DraftSpeed, paper_reward
from paper_parts.packing import pack, texts_of
from paper_parts.prompts import same_queries
from paper_parts.running import Options
from paper_parts.stored import COSTS, read_stored
from paper_parts.targets import TARGETS

from arms import Query
from bandits import FullInformationData
from bandits.data.closed_folder import MANIFEST
from speculative.collection.collect import collect
from speculative.pools.pool import Pool
from tests.support.paper_traces import MAIN, costs, facts, without, write_stored
from tests.support.tiny_pool import plain_costs, queries, save_pool

SCRIPTS = Path(__file__).parents[2] / "examples" / "paper"


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    return write_stored(tmp_path_factory.mktemp("paper") / "traces")


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


def test_the_page_shows_what_the_results_hold():
    docs = SCRIPTS.parents[1] / "docs"
    page = (docs / "paper.md").read_text(encoding="utf-8")
    assert runpy.run_path(str(SCRIPTS / "make_page.py"))["with_answers"](page, docs / "results") == page


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


def test_a_side_without_its_texts_is_refused(tmp_path):
    folder = write_stored(tmp_path / "traces")
    texts_of(folder, "train").unlink()
    with pytest.raises(FileNotFoundError, match=r"train-texts.parquet is missing, which holds the texts of .*train:"):
        read_stored(folder)


@pytest.mark.parametrize("name", ["labels", "weight_sweep"])
def test_labels_of_own_texts_that_were_not_collected_are_refused(traces, name):
    experiment = runpy.run_path(str(SCRIPTS / f"{name}.py"))["experiment"]
    with pytest.raises(ValueError, match=r"the train side must hold queries that the drafts of all of no_draft, dra"):
        experiment(without(read_stored(traces), "own draft_code"), Options([0], traces))


def test_a_draft_whose_speed_is_unknown_has_no_label(traces):
    row = read_stored(traces).data("test", ["suffix_3"]).observations[0]
    with pytest.raises(ValueError, match=r"DraftSpeed cannot value the .*suffix_3.*: its arm must be one of no_draft"):
        DraftSpeed({"no_draft": 1.0})(row[0])


def test_a_side_that_was_not_packed_to_its_end_is_refused(tmp_path):
    folder = write_stored(tmp_path / "traces")
    (folder / "test" / MANIFEST).unlink()
    with pytest.raises(ValueError, match="test"):
        read_stored(folder)


@pytest.mark.parametrize("step", [[], ["--clock"], ["--labels"]])
def test_a_pool_of_other_arms_is_refused_before_anything_is_traced_or_timed(tmp_path, step):
    main = runpy.run_path(str(SCRIPTS / "make_traces.py"))["main"]
    words = ["--pool", str(save_pool(tmp_path)), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    with pytest.raises(ValueError, match=r"must be all those of pool_smollm2.toml, got no_draft, prompt_lookup_3"):
        main([*words, *step])
    assert not (tmp_path / "work").exists()
    assert not (tmp_path / "out").exists()


def test_domains_without_a_query_are_refused(traces):
    with pytest.raises(ValueError, match=r"the train side must hold queries of translate, got none"):
        choices_of(read_stored(traces), Asked(["no_draft"], ("translate",)), [0])


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
