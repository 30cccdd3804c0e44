"""Starting the command: what it imports, and what it says of missing or shadowed packages."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from speculative.cli import options
from speculative.cli.shadowing import is_project, shadow_warnings
from tests.support.command_runner import make_place, pool_of, refused


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("starting"))


def test_the_package_runs_as_a_module(tmp_path):
    shown = _python(["-m", "speculative.cli", "--version"], tmp_path)
    assert shown.stdout == f"draftpick {version('draftpick')}\n"


def test_threads_are_torchs():
    before = torch.get_num_threads()
    try:
        options.start_torch(before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_without_torch_a_command_names_the_extra(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for command in (("generate", "x", "--arm", "no_draft"), ("profile",)):
        line = refused(*command, *pool_of(place))
        assert "torch is needed here" in line
        assert "pip install '.[llm]'" in line


def _python(code, cwd, **environment):
    return subprocess.run(
        [sys.executable, *code], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_starting_imports_neither_torch_nor_numpy(tmp_path):
    code = (
        "import sys, speculative.cli.main; print(*({'torch', 'numpy', 'transformers', 'pyarrow'} & set(sys.modules)))"
    )
    assert _python(["-c", code], tmp_path).stdout.strip() == ""


def test_learning_and_evaluating_need_no_torch(place, tmp_path):
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch':\n"
        "            raise ImportError('torch is blocked')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from speculative.cli.main import app\n"
        f"app(['train', {str(place / 'train')!r}, '--out', 'p'], standalone_mode=False)\n"
        f"app(['evaluate', {str(place / 'test')!r}, '--policy', 'p', '--out', 'r'], standalone_mode=False)"
    )
    result = _python(["-c", code], tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "r" / "evaluation.json").is_file()


def test_a_folder_that_shadows_a_package_is_named(tmp_path):
    (tmp_path / "bandits").mkdir()
    (tmp_path / "bandits" / "__init__.py").write_text("")
    result = _python(["-m", "speculative.cli.main", "train", "data", "--out", "p"], tmp_path)
    warning, error = result.stderr.splitlines()
    assert warning.startswith(f"warning: the folder {tmp_path / 'bandits'} shadows draftpick's package 'bandits'")
    assert error.startswith("error: cannot import name 'cross_validated'")
    assert result.returncode == 2


def test_a_folder_that_shadows_nothing_is_not_named(tmp_path):
    (tmp_path / "rewards").mkdir()  # beside the caller, but not on Python's path
    assert shadow_warnings(tmp_path) == []


def test_the_project_itself_shadows_nothing(tmp_path):
    project = Path(options.__file__).parents[2]
    assert shadow_warnings(project) == []
    assert is_project(project)
    assert not is_project(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project")
    assert not is_project(tmp_path)
