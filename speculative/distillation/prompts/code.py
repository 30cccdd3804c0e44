"""Prompts that ask for Python code, its explanation, documentation or tests."""

import ast
import importlib
import inspect
import random
import textwrap
from collections.abc import Iterator
from types import FunctionType
from typing import NamedTuple

from arms.checks import at_least
from speculative.distillation.prompts.code_tasks import CodeTask, code_tasks
from speculative.distillation.prompts.training_prompt import Draw, TrainingPrompt, draw_distinct

_MOST_LINES = 25
# Written in Python, documented, quiet on import.
_MODULES = (
    "_pydecimal argparse ast base64 bisect calendar cmd collections colorsys configparser contextlib copy "
    "csv dataclasses datetime difflib dis email.header email.message email.utils enum filecmp fileinput "
    "fnmatch fractions functools getopt glob gzip heapq hmac html html.parser http.client http.cookies "
    "http.server inspect ipaddress json json.decoder json.encoder keyword linecache locale logging "
    "logging.config logging.handlers mimetypes ntpath numbers pathlib pickle pickletools pkgutil platform "
    "plistlib pprint queue quopri random reprlib sched secrets selectors shelve shlex shutil smtplib "
    "socketserver statistics string subprocess tarfile tempfile textwrap threading timeit tokenize trace "
    "traceback types typing unittest.case unittest.mock urllib.parse urllib.request uuid warnings wave "
    "weakref xml.dom.minidom xml.etree.ElementTree xmlrpc.client zipfile"
)

_TASK_ASKS = (
    "Write a Python function that solves this: {goal}. Call it `{name}`.{extra}",
    "Write a Python function `{signature}` to {goal}.{extra}",
    "I need Python code to {goal}.{extra}",
    "How do I {goal} in Python?{extra}",
    "Implement `{name}` in Python. It should {goal}.{extra}",
    "Please write a short Python program to {goal}.{extra}",
    "Give me a function to {goal}, written in Python.{extra}",
    "Write a function named {name} to {goal}. Check that `{example}`.{extra}",
    "Write a Python function to {goal}.\nIt should pass this test: assert {example}{extra}",
    "Complete this function.\n```python\ndef {signature}:\n    # {goal}\n```{extra}",
    "Write unit tests for a Python function `{signature}` that should {goal}.{extra}",
    "Explain how a Python function can {goal}, then show the code.{extra}",
)
_EXTRAS = (
    "", "", " Add a docstring.", " Use type hints.", " Explain the code.", " Be short.", " Add comments.",
    " Show an example.", " Handle empty input.", " Raise an error for bad input.", " Use only loops.",
)  # fmt: skip
_SIGNATURE_ASKS = (
    "Write a Python function `{name}{signature}`. Its docstring says: \"{summary}\"",
    "Complete this Python function.\n\n```python\ndef {name}{signature}:\n    \"\"\"{summary}\"\"\"\n```",
    "def {name}{signature}:\n    \"\"\"{summary}\"\"\"\n",
    "What would a Python function called `{name}` do, if its documentation says \"{summary}\"? Write it.",
    "Write unit tests for the Python function `{name}{signature}`, described as \"{summary}\"",
)  # fmt: skip
_SOURCE_ASKS = (
    "Explain what this function does:\n```python\n{source}\n```",
    "What does this Python code do?\n\n```python\n{source}\n```",
    "Write a docstring for this function:\n```python\n{source}\n```",
    "Write unit tests for this function:\n```python\n{source}\n```",
    "Explain this code line by line.\n```python\n{source}\n```",
    "Here is some Python code:\n```python\n{source}\n```\nRewrite it with clearer names and comments.",
    "Find possible errors in this code and suggest how to fix them.\n\n```python\n{source}\n```",
)


class _Documented(NamedTuple):
    """A public function of the standard library and the first paragraph of its docstring."""

    path: str
    signature: str
    summary: str
    function: FunctionType


def _is_written(member: object) -> bool:
    """Tell whether `member` is a function whose source is in a file: not compiled at run time, not frozen."""
    return inspect.isfunction(member) and not inspect.unwrap(member).__code__.co_filename.startswith("<")


def _public_functions(module_name: str) -> Iterator[tuple[str, FunctionType]]:
    """Yield the public functions and methods that a module itself defines."""
    for name, member in vars(importlib.import_module(module_name)).items():
        if name.startswith("_") or getattr(member, "__module__", None) != module_name:
            continue
        members = vars(member) if inspect.isclass(member) else {"": member}
        for method_name, function in members.items():
            if _is_written(function) and not method_name.startswith("_"):
                yield f"{module_name}.{name}.{method_name}".rstrip("."), function


def _documented_functions() -> list[_Documented]:
    """List documented public functions of the standard library with short, printable signatures."""
    found: dict[str, _Documented] = {}
    for module_name in _MODULES.split():
        for path, function in _public_functions(module_name):
            summary = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
            signature = str(inspect.signature(function))
            # An object's default representation carries its address, which differs from run to run.
            printable = " at 0x" not in signature and "<" not in signature and len(signature) <= 100
            if printable and 4 <= len(summary.split()) <= 60:
                found.setdefault(path, _Documented(path, signature, summary, function))
    return _different([found[path] for path in sorted(found)])


def _different(functions: list[_Documented]) -> list[_Documented]:
    """Leave out a function that reads like an earlier one, so that no prompt belongs to two groups."""
    seen: set[tuple[str, str, str]] = set()
    kept = []
    for item in functions:
        path, signature, summary, function = item
        views = {(path.rpartition(".")[2], signature, summary), ("", "", _bare_source(function) or path)}
        if not views & seen:
            kept.append(item)
        seen |= views
    return kept


def _bare_source(function: FunctionType) -> str | None:
    """Return a function's source without its docstring and comments; None unless it has 3 to 25 lines."""
    lines = inspect.getsourcelines(function)[0]
    tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
    if not isinstance(tree, ast.FunctionDef):
        return None
    if ast.get_docstring(tree) is not None:
        del tree.body[0]
    source = ast.unparse(tree) if tree.body else ""
    return source if 3 <= len(source.splitlines()) <= _MOST_LINES else None


def _task_prompt(task: CodeTask, rng: random.Random) -> str:
    """Ask for one of the tasks, in one sentence or as a function to complete."""
    if rng.random() < 0.25:
        call, _, result = task.example.partition(" == ")
        body = f'    """{task.goal[0].upper()}{task.goal[1:]}.\n\n    >>> {call}\n    {result}\n    """\n'
        lead = rng.choice(
            (
                "",
                "Complete the function.\n\n",
                "Finish this Python function:\n\n",
                "from typing import *\n\n\n",
            )
        )
        return f"{lead}def {task.signature}:\n{body}"
    return rng.choice(_TASK_ASKS).format(
        goal=task.goal,
        name=task.name,
        signature=task.signature,
        example=task.example,
        extra=rng.choice(_EXTRAS),
    )


def _library_prompt(item: _Documented, rng: random.Random) -> str:
    """Ask about one function of the standard library, by its source where that is short."""
    path, signature, summary, function = item
    source = _bare_source(function) if rng.random() < 0.6 else None
    if source is not None:
        return rng.choice(_SOURCE_ASKS).format(source=source)
    name = path.rpartition(".")[2]
    return rng.choice(_SIGNATURE_ASKS).format(name=name, signature=signature, summary=summary)


def code_prompts(n: int, seed: int) -> list[TrainingPrompt]:
    """Draw `n` different prompts about Python code; the same seed, Python version and imports give the same list.

    Half ask for one of this project's own tasks, half are about a function of the standard library of the
    running Python. Packages that change that library while they are imported change the list: torch replaces one
    of its functions, transformers adds one.

    Args:
        n: Number of prompts, >= 0.
        seed: Seed of the draw.

    Returns:
        n records of domain "code", grouped by task or function.

    Raises:
        ValueError: if `n` is negative or more than the source can give.
    """
    at_least(n, 0, "n")  # before the library is read
    rng = random.Random(at_least(seed, 0, "seed"))
    tasks, functions = code_tasks(), _documented_functions()

    def draw() -> Draw:
        if rng.random() < 0.5:
            task = rng.choice(tasks)
            return f"task-{task.name}", _task_prompt(task, rng)
        item = rng.choice(functions)
        return item.path, _library_prompt(item, rng)

    return draw_distinct("code", n, draw)
