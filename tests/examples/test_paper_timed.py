"""What was timed beside the traces of the paper's experiments is read back, and refused where it is of others."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from paper_parts.label_seconds import measure_labels
from paper_parts.stored import read_stored
from paper_parts.timed import CLOCK, LABELS, TimedLabel, TimedRun, write_timed

from speculative.pools.pool import Pool
from tests.support.paper_traces import without, write_stored
from tests.support.tiny_pool import queries, save_pool

SCRIPTS = Path(__file__).parents[2] / "examples" / "paper"
RUN = TimedRun(query_id="test-0", arm="no_draft", seconds=1.0, n_tokens=24, text="the words of test-0")
LABEL = TimedLabel(query_id="test-0", draft="suffix", new_tokens=24, own_s=1.0, replay_s=0.1)


@pytest.mark.parametrize(
    ("name", "target", "row", "said"),
    [
        (CLOCK, "another", RUN, r"clock.json was timed with another target than the traces .* make_traces.py --clock"),
        (CLOCK, "t", RUN.model_copy(update={"arm": "medusa_2"}), r"clock.json times the arm 'medusa_2', which"),
        (CLOCK, "t", RUN.model_copy(update={"query_id": "x"}), r"clock.json times the query 'x', which"),
        (CLOCK, "t", LABEL, r"clock.json: rows: 0: draft: unknown key; .* make_traces.py --clock"),
        (LABELS, "another", LABEL, r"labels.json was timed with another target than the traces .* --labels"),
        (LABELS, "t", LABEL.model_copy(update={"draft": "medusa"}), r"labels.json times the draft 'medusa', which"),
        (LABELS, "t", LABEL.model_copy(update={"own_s": 0.0}), r"labels.json: rows: 0: own_s: .* greater than 0"),
    ],
)
def test_what_was_timed_elsewhere_is_refused(tmp_path, name, target, row, said):
    folder = write_stored(tmp_path / "traces")
    write_timed(folder / name, target, [row])
    with pytest.raises(ValueError, match=said):
        read_stored(folder)


def test_a_file_of_runs_that_ends_too_early_is_refused(tmp_path):
    folder = write_stored(tmp_path / "traces")
    write_timed(folder / CLOCK, "t", [RUN])
    (folder / CLOCK).write_text((folder / CLOCK).read_text()[:40])
    with pytest.raises(ValueError, match=r"clock.json: Invalid JSON: EOF .* make_traces.py --clock"):
        read_stored(folder)


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    return write_stored(tmp_path_factory.mktemp("paper") / "traces")


def test_both_kinds_of_label_are_timed_on_the_same_queries_and_compared(tmp_path, traces):
    measure_labels(Pool.load(save_pool(tmp_path)), queries(4), ["no_draft", "draft_small_2"], tmp_path, 0.0, (4, 8))
    told = json.loads((tmp_path / LABELS).read_text())
    assert told["target"] == Pool.load(save_pool(tmp_path)).target.fingerprint()
    rows = told["rows"]
    assert [(row["query_id"], row["new_tokens"]) for row in rows] == [(f"q{i}", n) for n in (4, 8) for i in range(4)]
    assert {row["draft"] for row in rows} == {"draft_small"}
    assert all(row["own_s"] > 0 < row["replay_s"] for row in rows)
    rows = [TimedLabel.model_validate(row | {"own_s": 2.0, "replay_s": 0.1}) for row in rows]
    found = runpy.run_path(str(SCRIPTS / "label_price.py"))["experiment"](
        replace(read_stored(traces), label_seconds=rows), None
    )
    shares = [(row["arm"], row["new tokens"], row["replay over own text"].value) for row in found.rows]
    assert shares == [(draft, n, pytest.approx(0.05)) for n in (4, 8) for draft in ["draft_small"]]
    assert found.answer.endswith("The aim of at most a tenth is met.")


def test_labels_that_were_timed_while_collecting_are_told_as_such_and_of_the_timed_drafts_alone(traces):
    experiment = runpy.run_path(str(SCRIPTS / "label_price.py"))["experiment"]
    stored = read_stored(traces)
    found = experiment(without(stored, "own_s early", "trace_s early"), None)
    assert [(row["arm"], row["queries"]) for row in found.rows] == [
        (name, 36) for name in ("draft_maths_4", "draft_code_4", "all")
    ]
    assert "0.050 [0.050, 0.050] with 24 new tokens, both timed while collecting" in found.answer
    with pytest.raises(ValueError, match=r"label_price needs the seconds of both kinds of label: make_traces.py --lab"):
        experiment(without(stored, "own_s"), None)


def test_quality_without_runs_is_refused(traces):
    with pytest.raises(ValueError, match=r"quality needs wall-clock runs: make_traces.py --clock measures them"):
        runpy.run_path(str(SCRIPTS / "quality.py"))["experiment"](read_stored(traces), None)
