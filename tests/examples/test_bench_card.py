"""The count of what a round asks of a card runs, and its tables go onto the page between their marks."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from results_pages.card import with_card_tables

ROOT = Path(__file__).parents[2]
PAGE = "# Title\n\n<!-- rounds -->\nold\n<!-- /rounds -->\n\n<!-- passes -->\n<!-- /passes -->\nend\n"


def test_the_count_runs_and_its_page_shows_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])  # the script adds the folder that holds tests/
    record = runpy.run_path(str(ROOT / "examples" / "benchmarks" / "bench_card.py"))["main"](["--smoke"])
    (tmp_path / "bench_card.json").write_text(json.dumps(record))
    page = with_card_tables(PAGE, tmp_path)
    assert "old" not in page
    for row in record["rounds"]:
        assert f"| {row['draft']}, {row['sampling']} |" in page
    assert {row["width"] for row in record["passes"]} == {1, 5, 9}
    assert f"{record['passes'][0]['launches']}; {record['passes'][0]['floor_ms']:.2f} ms" in page


def test_what_an_earlier_version_counted_stands_before_an_arrow(tmp_path):
    row = {"draft": "none", "sampling": "greedy", "batch": 1, "waits": 1, "launches": 20, "as_graphs": 6}
    record = {"rounds": [row], "before": [row | {"waits": 5}], "passes": []}
    (tmp_path / "bench_card.json").write_text(json.dumps(record))
    assert "| none, greedy | 5 → 1 | 20 → 20 | 6 |" in with_card_tables(PAGE, tmp_path)


def test_a_page_without_marks_is_refused_and_one_without_figures_says_so(tmp_path):
    assert with_card_tables(PAGE, tmp_path).count("Not measured yet") == 2
    with pytest.raises(ValueError, match="<!-- rounds -->"):
        with_card_tables("# Title", tmp_path)
