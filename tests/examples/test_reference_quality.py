"""Every arm's texts beside answers that people wrote: the script runs on a tiny pool, and refuses a wrong file."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_pool import ARMS, save_pool

SCRIPTS = Path(__file__).parents[2] / "examples" / "paper"
SCRIPT = runpy.run_path(str(SCRIPTS / "reference_quality.py"))
ROWS = [
    {"id": "a", "domain": "count", "prompt": "one two one", "reference": "two one two", "source": "ours"},
    {"id": "b", "domain": "cats", "prompt": "the cat sat", "reference": "on the mat"},
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_all_arms_are_equally_near_peoples_answers_and_a_second_run_reads_what_they_wrote(tmp_path):
    file = write(tmp_path / "answered.jsonl", ROWS)
    folders = ["--results", str(tmp_path / "results"), "--work", str(tmp_path / "work")]
    words = ["--references", str(file), "--pool", str(save_pool(tmp_path)), *folders]
    result = SCRIPT["main"](words)
    assert json.loads((tmp_path / "results" / "paper_reference_quality.json").read_text()) == result
    assert [row.pop("arm") for row in result["rows"]] == list(ARMS)
    assert all(row == result["rows"][0] for row in result["rows"])
    assert result["rows"][0]["equal to the first arm's"] == result["rows"][0]["texts"] == 2
    assert "and 6 of the others' 6 texts are those of no_draft" in result["answer"]
    assert result["n_queries"] == {"count": 1, "cats": 1}
    assert "one two" not in json.dumps(result)
    (tmp_path / "work" / "no_draft.json").write_text(json.dumps({row["id"]: row["reference"] for row in ROWS}))
    again = SCRIPT["main"](words)
    assert again["rows"][0]["ROUGE-L"]["value"] == 1
    assert "are not equal across all 4 arms" in again["answer"]
    write(file, ROWS[:1])
    with pytest.raises(ValueError, match="was begun with other queries"):
        SCRIPT["main"](words)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"id": "c", "prompt": "x"}, r"answered.jsonl, line 3: reference must be the text .* got None"),
        ({"id": "c", "prompt": "x", "reference": " "}, r"answered.jsonl, line 3: reference must be .* got ' '"),
        ({"id": "c", "prompt": "x", "reference": ["y"]}, r"answered.jsonl, line 3: reference must be .* got \['y'\]"),
        ({"id": "c", "reference": "y"}, r"answered.jsonl, line 3: .*prompt"),
        ({"id": "a", "prompt": "x", "reference": "y"}, r"answered.jsonl, line 3: .*'a'"),
    ],
)
def test_a_file_without_people_s_answers_is_refused_by_line(tmp_path, row, told):
    with pytest.raises(ValueError, match=told):
        SCRIPT["read_answered"](write(tmp_path / "answered.jsonl", [*ROWS, row]))


def test_the_median_error_has_an_interval_over_queries():
    errors = np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    found = runpy.run_path(str(SCRIPTS / "quality.py"))["median_error"](errors)
    assert found.value == pytest.approx(0.2)
    assert 0 <= found.low <= 0.1 < 0.3 <= found.high
