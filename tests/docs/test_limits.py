"""Files, functions and signatures stay small; what is left above a limit is named here, and the list only shrinks."""

import ast
import subprocess

import pytest

from tests.support.public_names import ROOT

FILE_LINES, FUNCTION_LINES, PARAMETERS = 350, 40, 6
LIBRARY = ("arms", "rewards", "bandits", "speculative", "examples")

# What is above a limit, with the reason. Take out what no longer is; add nothing.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
WIDE_SIGNATURES: dict[str, str] = {}


def _tracked():
    shown = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in shown.stdout.split() if (ROOT / path).is_file()]


def _functions(paths):
    for path in paths:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path}:{node.name}", node


def _code_lines(node):
    """Lines after the signature and the docstring."""
    has_docstring = ast.get_docstring(node) is not None and len(node.body) > 1
    return node.end_lineno - node.body[1 if has_docstring else 0].lineno + 1


def _n_parameters(node):
    given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    return len([each for each in given if each.arg not in ("self", "cls")])


def _is_command(path):
    """Whether typer reads the signatures: an option a parameter."""
    return path.startswith("speculative/cli/")


def _above():
    paths = _tracked()
    library = [path for path in paths if path.split("/")[0] in LIBRARY]
    functions = list(_functions(library))
    return {
        "files": {path for path in paths if len((ROOT / path).read_text().splitlines()) > FILE_LINES},
        "functions": {name for name, node in functions if _code_lines(node) > FUNCTION_LINES and not _is_command(name)},
        "signatures": {name for name, node in functions if _n_parameters(node) > PARAMETERS and not _is_command(name)},
    }


ABOVE = _above()


@pytest.mark.parametrize(
    ("kind", "allowed", "rule"),
    [
        ("files", LONG_FILES, f"at most {FILE_LINES} lines: split it by concept"),
        ("functions", LONG_FUNCTIONS, f"at most {FUNCTION_LINES} lines of code: name its parts"),
        ("signatures", WIDE_SIGNATURES, f"at most {PARAMETERS} parameters: make a settings record"),
    ],
)
def test_nothing_outgrows_its_limit(kind, allowed, rule):
    assert not ABOVE[kind] - set(allowed), rule
    assert not set(allowed) - ABOVE[kind], "no longer above its limit: take it from the list"


def test_lines_and_parameters_are_counted_without_docstring_and_self():
    source = 'def f(self, a, *, b):\n    """Say\n\n    much.\n    """\n    c = a\n\n    return c\n'
    [node] = ast.parse(source).body
    assert (_code_lines(node), _n_parameters(node)) == (3, 2)
