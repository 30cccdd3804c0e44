import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(script: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    runpy.run_path(str(EXAMPLES / script))["main"](list(arguments))
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_subclass_arm_learns_which_queries_the_endpoint_answers_best(capsys):
    lines = run("extend/subclass_arm.py", capsys, "--seed", "1")
    assert lines[0][:4] == ["90", "queries,", "2", "arms,"]
    assert int(lines[0][4]) > 0  # some pulls failed, and the rest went on
    target, endpoint, policy = (float(line[-1]) for line in lines[1:4])
    assert policy > max(target, endpoint)
    assert [line[-1] for line in lines[4:]] == ["endpoint", "target"]
    assert run("extend/subclass_arm.py", capsys, "--smoke")[0][0] == "18"


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
