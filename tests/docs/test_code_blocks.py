"""Code in the README and in docs/ runs: no dead copy."""

import re
import shlex
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from speculative.cli.main import app
from speculative.pools.spec import PoolSpec
from speculative.serving import UpstreamPoolSpec

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
TASK = re.compile(r"# --8<-- \[start:task\]\n(.*?)# --8<-- \[end:task\]", re.DOTALL)
TASKS = {
    task[1]
    for path in (ROOT / "examples" / "tasks").glob("*.py")
    if (task := TASK.search(path.read_text(encoding="utf-8")))
}
SNIPPET = re.compile(r'--8<-- "(?P<file>[^":]+)(:(?P<section>\w+))?"')


@dataclass(frozen=True)
class Block:
    """One fenced block: its text, and the line of the page that it begins on."""

    text: str
    line: int


def blocks(page: Path, language: str) -> list[Block]:
    content = page.read_text(encoding="utf-8")
    found = (match for match in FENCE.finditer(content) if match["language"] == language)
    return [Block(textwrap.dedent(match["text"]), content.count("\n", 0, match.start("text"))) for match in found]


def with_blocks(language: str) -> list[object]:
    pages = (page for page in PAGES if blocks(page, language))
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


@pytest.mark.parametrize("page", with_blocks("python"))
def test_python_blocks_run_in_the_order_of_their_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks(page, "python"):
        if SNIPPET.search(block.text) or block.text in TASKS:
            continue  # is of an example, which its own test runs
        code = compile("\n" * block.line + block.text, str(page), "exec")
        exec(code, names)


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_snippets_name_sections_that_exist(page):
    for match in SNIPPET.finditer(page.read_text(encoding="utf-8")):
        text = (ROOT / match["file"]).read_text(encoding="utf-8")
        for edge in ("start", "end") if match["section"] else ():
            assert f"# --8<-- [{edge}:{match['section']}]" in text, match[0]


@pytest.mark.parametrize("page", with_blocks("toml"))
def test_toml_blocks_are_pools(page):
    for block in blocks(page, "toml"):
        if SNIPPET.search(block.text):
            continue  # comes from an example, which its own test runs
        table = tomllib.loads(block.text)
        (PoolSpec if "target" in table else UpstreamPoolSpec).model_validate(table)


@pytest.mark.parametrize("page", with_blocks("bash"))
def test_commands_exist_with_these_options(page):
    for block in blocks(page, "bash"):
        for line in block.text.splitlines():
            for command in line.split("&&"):
                if words := shlex.split(command, comments=True):
                    check_command(words)


def test_no_block_has_a_prompt_that_the_copy_button_would_copy():
    wrong = [
        f"{page.relative_to(ROOT)}:{block.line}: write ```bash, and the command without '$ '"
        for page in PAGES
        for language in ("console", "bash", "shell", "sh", "text")
        for block in blocks(page, language)
        if language == "console" or re.search(r"^\$ ", block.text, re.MULTILINE)
    ]
    assert not wrong, "\n".join(wrong)


OTHER_PROGRAMS = {"source", "pip", "pre-commit", "ruff", "mypy", "lint-imports", "git", "curl"}  # not ours to check


def check_command(words: list[str]) -> None:
    """Reject a command that is not there, or an option that it does not take."""
    program, *rest = words
    if program in OTHER_PROGRAMS or words[:3] == ["python", "-m", "pytest"]:
        return
    first, *rest = rest
    if program == "make":
        assert re.search(rf"^{first}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), words
    elif program == "python":
        script = (ROOT / first).read_text(encoding="utf-8")
        assert all(f'"{word}"' in script for word in rest if word.startswith("--")), words
    else:
        assert program == "draftpick", words
        command = typer.main.get_command(app).commands[first]
        command.make_context(first, rest)  # parses the arguments, runs nothing


@pytest.mark.parametrize("line", ["draftpick collect prompts.jsonl --no-such-option", "draftpick train"])
def test_a_command_that_would_fail_is_found(line):
    usage_error = typer.BadParameter.__base__  # typer brings a click of its own, or uses click's
    with pytest.raises(usage_error):
        check_command(shlex.split(line))
