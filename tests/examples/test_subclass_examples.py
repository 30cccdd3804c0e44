import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    runpy.run_path(str(EXAMPLES / script))["main"](list(arguments))
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_subclass_arm_compares_the_endpoint_with_the_record(capsys):
    header, *rows = run("extend/subclass_arm.py", capsys, "--smoke", "--seed", "1")
    assert header == ["query", "arm", "RougeL", "Speedup", "text"]
    assert [row[:2] for row in rows] == [
        ["q1", "target"],
        ["q1", "endpoint"],
        ["q2", "target"],
        ["q2", "endpoint"],
    ]
    assert [row[2:4] for row in rows if row[1] == "target"] == [["1.00", "1.0x"]] * 2


def test_subclass_reward_shows_that_the_reward_decides_the_best_arm(capsys):
    header, *rows = run("extend/subclass_reward.py", capsys, "--smoke", "--seed", "1")
    assert header == ["reward", "tiny", "small", "large", "best", "arm"]
    assert [row[-1] for row in rows[:3]] == ["large", "tiny", "tiny"]
    assert rows == run("extend/subclass_reward.py", capsys, "--smoke", "--seed", "1")[1:]
    assert rows != run("extend/subclass_reward.py", capsys, "--smoke", "--seed", "2")[1:]


@pytest.mark.parametrize("script", ["extend/subclass_arm.py", "extend/subclass_reward.py", "extend/subclass_draft.py"])
def test_run_as_a_command(script, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script, "--smoke"])
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    assert len(capsys.readouterr().out.splitlines()) >= 3


def test_subclass_draft_keeps_the_targets_text(capsys):
    header, *rows = run("extend/subclass_draft.py", capsys, "--seed", "1")
    assert header == ["text", "as", "without", "drafts", "tokens", "rounds"]
    assert [row[:3] for row in rows] == [["greedy", "yes", "60"], ["sampled", "yes", "60"]]
    assert int(rows[0][3]) < 59  # the phrase that the target likes to say saves rounds
