"""Ten minutes on a card: all stages run without one, go on where they stopped, and their figures reach the page."""

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from gpu_bench.bars import bars
from gpu_bench.machine import Machine
from gpu_bench.rounds import check_recorded
from gpu_bench.stages import Cell, Record
from gpu_bench.texts import joined, texts_of
from results_pages.gpu import with_gpu_tables

from speculative.models.graphs import Graphs
from speculative.protocols.kv_store import KVStore
from tests.support.tiny_pool import save_pool

ROOT = Path(__file__).parents[2]
PAGE = "# Title\n\n<!-- gpu -->\n<!-- /gpu -->\nend\n"
HEAD = {"machine": {"processor": "p"}, "settings": "tiny"}


def test_every_stage_runs_without_a_card_and_the_page_shows_its_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # the script adds the folder that holds tests/
    script = runpy.run_path(str(ROOT / "examples" / "benchmarks" / "bench_gpu.py"))
    save_pool(tmp_path)
    record = script["main"](["--dry-run", "--model", str(tmp_path / "target"), "--cache", str(tmp_path / "cache")])
    assert list(record["stages"]) == [*script["STAGES"], "texts"]
    assert all(rows and all("error" not in row for row in rows) for rows in record["stages"].values())
    for row in record["stages"]["waits"]:
        assert row["waits"] == row["counted"] == 1
    assert record["bars"][0]["name"] == "most waits of a round"
    (tmp_path / "gpu.json").write_text(json.dumps(record))
    page = with_gpu_tables(PAGE, tmp_path)
    for name, rows in record["stages"].items():
        figures = [str(value) for row in rows for value in row.values() if isinstance(value, float)]
        assert all(figure in page for figure in figures if name != "passes"), name
    assert {row["different"] for row in record["stages"]["texts"] if row["dtype"] == "float32"} == {0}
    assert "| target, float32, prompt look-up |" in page
    assert page.endswith("<!-- /gpu -->\nend\n")


def test_a_page_is_as_it_was_where_no_card_was_measured(tmp_path):
    assert with_gpu_tables("no marks", tmp_path) == "no marks"


def test_a_measurement_goes_on_where_it_stopped_and_tries_again_what_failed(tmp_path, monkeypatch):
    measured = []

    def stage(machine):
        for i in range(3):
            yield Cell({"i": i}, lambda i=i: measure(i))

    def measure(i):
        measured.append(i)
        if measured == [0, 1]:
            raise KeyError("whatever it is")
        return {"value": 10 * i}

    for budget_s, whole, expected in ((60, True, [0, 1, 2]), (60, True, [0, 1, 2, 1]), (-1, True, [0, 1, 2, 1])):
        record = Record(tmp_path / "gpu.json", HEAD, budget_s)
        assert record.run("stage", stage, Machine(dry=True)) == whole
        assert measured == expected
        assert json.loads((tmp_path / "gpu.json").read_text()) == {**record.content, "bars": []}  # whole, if killed now
    assert sorted(row["value"] for row in record.content["stages"]["stage"]) == [0, 10, 20]
    other = Record(tmp_path / "gpu.json", {**HEAD, "settings": "another card"}, -1)
    assert not other.content["stages"]
    assert not other.run("stage", stage, Machine(dry=True))  # no time left


def test_texts_are_those_of_the_model_that_is_named_and_without_one_there_are_none(tmp_path):
    machine = Machine(dry=True)
    assert not list(texts_of(None, tmp_path)(machine))
    assert {cell.what["model"] for cell in texts_of(tmp_path / "one.gguf", tmp_path)(machine)} == {"one.gguf"}


def test_a_figure_of_graphs_that_could_not_be_recorded_is_rejected():
    def fail():
        raise RuntimeError("no memory")

    device = torch.device("cpu")
    graphs, store = Graphs(device, 64, fail), KVStore.empty((1, 1, 1, 4, 2), torch.float32, device)
    model = SimpleNamespace(graphs=graphs)
    check_recorded(model)
    check_recorded(SimpleNamespace(graphs=None))
    with pytest.warns(UserWarning, match="no memory"):
        graphs.run(store, "program", torch.neg, [torch.ones(1)])
    with pytest.raises(RuntimeError, match="passes ran without new graphs"):
        check_recorded(model)


def test_a_bar_says_whether_it_is_kept_and_is_left_out_where_nothing_was_measured():
    one = {"model": "Llama-3.1-8B", "batch": 1, "held": 511, "gigabytes": 15.0}
    stages = {
        "card": [{"figure": "copy", "tb_s": 3.0}],
        "passes": [one | {"width": 1, "graph_ms": 6.0}, one | {"width": 5, "graph_ms": 7.5}],
        "peers": [
            {"mode": "draftpick, 2 layers", "tokens_s": 900.0},
            {"mode": "transformers, 2 layers as assistant", "tokens_s": 100.0},
        ],
    }
    found = {bar["name"]: (bar["value"], bar["holds"]) for bar in bars(stages)}
    assert found == {
        "Llama-3.1-8B: a graph's pass over one token, times its memory floor": (1.2, True),
        "Llama-3.1-8B: a graph's pass over 5 tokens, times one over 1, at most held": (1.25, False),
        "135M with a draft model, times transformers' assisted generation": (9.0, True),
    }
    assert bars({}) == []


def test_a_model_in_parts_is_one_file_and_a_missing_part_is_refused(tmp_path):
    parts = [tmp_path / "m.gguf.1", tmp_path / "m.gguf.2"]
    parts[0].write_bytes(b"one")
    with pytest.raises(ValueError, match=r"--model must name a model, or its parts in order, got .*m.gguf.2, which"):
        joined(parts, tmp_path)
    parts[1].write_bytes(b"two")
    whole = joined(parts, tmp_path)
    assert whole.name == "m.gguf"
    assert whole.read_bytes() == b"onetwo"
    assert joined(parts[:1], tmp_path) == parts[0]
    assert joined([], tmp_path) is None
