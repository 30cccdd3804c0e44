"""Chat templates as bounded programs: what a checkpoint's template may do, and how far it may loop and grow a text."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, wraps
from typing import Any, NoReturn, cast

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, operators
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.meta import find_undeclared_variables
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

MAX_STEPS = 300_000
"""Calls, attributes and turns of loops of one rendering: hundreds for each message of a thousand."""
MAX_SIZE = 10_000_000
"""Characters, or items, of one value."""
MAX_BITS = 4096
"""Of a whole number."""
MAX_SEARCH = 1_000_000_000
"""Characters of a text, times those that are searched in it: some searches take as many steps."""
MAX_SECONDS = 10.0
"""For one rendering, whatever its steps are; only a template made to be slow comes near it."""

_SLOW = ("striptags", "urlize", "wordwrap")  # their time grows with the square of the text; no chat needs them
_SEARCHES = {"count", "find", "index", "partition", "replace", "rfind", "rindex", "rpartition", "rsplit", "split"}
_SEARCHES |= {"strip", "lstrip", "rstrip", "trim"}
_WIDENING = {"center", "ljust", "rjust", "zfill", "expandtabs", "indent", "tojson", "batch", "slice"}


class ChatTemplate:
    """A compiled chat template, which ends within the limits of this module whatever its text says.

    The language is that in which transformers renders chat templates, but for filters that take too long and `lipsum`.

    Args:
        source: the template's text.

    Attributes:
        variables: what it reads that it does not set itself.

    Raises:
        jinja2.TemplateError: if it is no template, or more than the limits already while it is compiled.
    """

    def __init__(self, source: str) -> None:
        self._environment = _Bounded()
        self._lock = threading.Lock()
        self._environment.begin()
        self._template = self._environment.from_string(source)
        self.variables = frozenset(find_undeclared_variables(self._environment.parse(source)))

    def render(self, variables: Mapping[str, object]) -> str:
        """Return the text.

        Args:
            variables: what the template may read; plain values as JSON has them.

        Raises:
            jinja2.TemplateError: if the template says so, or goes beyond a limit; anything else that it runs into, too.
        """
        with self._lock:
            self._environment.begin()
            return self._template.render(**variables)


@lru_cache(maxsize=8)
def chat_template(source: str) -> ChatTemplate:
    """Compile a chat template once; arguments and errors as of `ChatTemplate`."""
    return ChatTemplate(source)


class _Generation(Extension):
    """Reads `{% generation %}`, which marks an assistant's words for training, as its content."""

    tags = {"generation"}  # noqa: RUF012  so in the base

    def parse(self, parser: Parser) -> nodes.Node:
        lineno = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=lineno)


class _Counting(CodeGenerator):
    """Hands what a loop goes over, `~` joins, a comparison compares or a display holds to the environment first.

    A list of itself twice, 40 times over, is made in no time and compared never.
    """

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        node.iter = _call("counted", node.iter)  # type: ignore[arg-type]  # an expression, declared a node
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.visit(_call("joined", nodes.List(node.nodes)), frame)

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        self.write("(")
        self._check(self.visit, node.expr, frame)
        for operand in node.ops:
            self.visit(operand, frame)
        self.write(")")

    def visit_Operand(self, node: nodes.Operand, frame: Frame) -> None:
        self.write(f" {operators[node.op]} ")
        self._check(self.visit, node.expr, frame)

    def visit_List(self, node: nodes.List, frame: Frame) -> None:
        self._check(super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        self._check(super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:
        self._check(super().visit_Tuple, node, frame)

    def _check(self, visit: Callable[[Any, Frame], object], node: nodes.Expr, frame: Frame) -> None:
        if getattr(node, "ctx", "load") != "load" and isinstance(node, nodes.Tuple):  # names to be set
            visit(node, frame)
            return
        self.write("environment.checked(")
        visit(node, frame)
        self.write(")")


def _call(method: str, argument: nodes.Expr) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(method), [argument], [], None, None)


class _Namespace(Namespace):
    """What a template may write into; no names that Python itself reads."""

    def __setitem__(self, name: str, value: object) -> None:
        if name.startswith("_"):
            raise SecurityError(f"a chat template must not write {name!r} into a namespace")
        super().__setitem__(name, value)


def _namespace(**values: object) -> _Namespace:
    made = _Namespace()
    for name, value in values.items():
        made[name] = value
    return made


class _Bounded(ImmutableSandboxedEnvironment):
    """A sandbox that counts steps and looks at sizes before they are made."""

    code_generator_class = _Counting
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols], finalize=self.checked
        )
        self.filters = {name: self._bounded(name, run) for name, run in self.filters.items() if name not in _SLOW}
        tests = cast(dict[str, Callable[..., Any]], self.tests)
        self.tests = {name: self._bounded(name, run) for name, run in tests.items()}
        self.filters["tojson"] = self._bounded("tojson", _to_json)
        del self.globals["lipsum"]
        self.globals |= {"raise_exception": _refuse, "strftime_now": _now, "namespace": _namespace, "dict": _dict}

    def begin(self) -> None:
        """Begin a rendering."""
        self._n_steps = 0
        self._ends_at = time.monotonic() + MAX_SECONDS

    def counted(self, items: Iterable[object]) -> Iterator[object]:
        """Pass on the items of a loop, each a step."""
        for item in items:
            self._step()
            yield item

    def joined(self, values: Sequence[object]) -> str:
        """Join texts, the operator `~`."""
        self.checked(values)
        return "".join(map(str, values))

    def concat(self, pieces: Iterable[str]) -> str:
        """Join what a block, a macro or the whole template has written."""
        kept, size = [], 0
        for piece in pieces:
            size += len(piece)
            _fits(size)
            kept.append(piece)
        return "".join(kept)

    def call(self, context: Context, callee: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what the sandbox lets a template call, a step."""
        self._step()
        if isinstance(callee, LoopContext) and args:  # a recursive loop
            args = (self.counted(args[0]), *args[1:])
        method = getattr(callee, "__wrapped__", callee)  # of `format`, which the sandbox wraps
        self._check_call(getattr(method, "__name__", ""), (getattr(method, "__self__", None), *args), kwargs)
        return self.checked(super().call(context, callee, *args, **kwargs))

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Read an attribute, a step."""
        self._step()
        return super().getattr(obj, attribute)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute what does not outgrow the limits."""
        if operator == "%" and isinstance(left, str):
            _check_format(left)
        elif operator == "**":
            _check_bits(_bits(left) * abs(right) if isinstance(right, int) else 0)
        elif isinstance(left, int) and isinstance(right, int):
            _check_bits(_bits(left) + _bits(right) if operator == "*" else 0)
        elif operator == "*":
            _fits(_size(left, {}) * right if isinstance(right, int) else left * _size(right, {}))
        return self.checked(super().call_binop(context, operator, left, right))

    def _step(self) -> None:
        self._n_steps += 1
        if self._n_steps > MAX_STEPS:
            raise TemplateError(f"it takes more than {MAX_STEPS} steps")
        if time.monotonic() > self._ends_at:
            raise TemplateError(f"it takes more than {MAX_SECONDS:g} s")

    def checked(self, value: Any) -> Any:
        """Return a value that is within the limits."""
        _fits(_size(value, {}))
        return value

    def _bounded(self, name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(run)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            self._step()
            self._check_call(name, args, kwargs)
            return self.checked(run(*args, **kwargs))

        return bounded

    def _check_call(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        values = (*args, *kwargs.values())
        size = sum(_size(value, {}) for value in values)
        _fits(size)
        texts = [value for value in values if isinstance(value, str)]
        if name == "translate":
            raise TemplateError("it must not translate a text, which may lengthen every character")
        if name in _SEARCHES and len(texts) > 1 and len(texts[0]) * len(texts[1]) > MAX_SEARCH:
            raise TemplateError(f"it searches too long a text: {len(texts[0])} characters for {len(texts[1])}")
        if name in ("format", "format_map"):
            _check_format(texts[0] if texts else "")
        elif name in _WIDENING:
            lines = 1 + sum(text.count("\n") + text.count("\t") for text in texts)
            lists = sum(len(value) for value in values if isinstance(value, (list, tuple, dict)))
            _fits(max((value for value in values if isinstance(value, int)), default=0) * (lines + lists))
        elif name == "replace" and len(texts) > 2:
            _fits(texts[0].count(texts[1]) * len(texts[2]))
        elif name == "join" and texts:
            _fits(len(texts[0]) * max((len(value) for value in values if isinstance(value, (list, tuple))), default=1))


def _size(value: object, known: dict[int, int]) -> int:
    """Return how many characters and items a value has, those that it has several times counted each time."""
    if isinstance(value, str):
        return len(value)
    if not isinstance(value, (list, tuple, dict)):
        return 1
    if id(value) not in known:
        known[id(value)] = MAX_SIZE + 1  # of one that holds itself
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = len(value) + sum(_size(part, known) for part in parts)
    return known[id(value)]


def _fits(size: float) -> None:
    if size > MAX_SIZE:
        raise TemplateError(f"it makes a value of more than {MAX_SIZE} characters or items")


def _check_format(text: str) -> None:
    """Reject a width beyond the limit, or one that the values state."""
    if "*" in text or re.search(r"{[^}]*{", text.replace("{{", "")):
        raise TemplateError("its formats must state their widths as numbers")
    _fits(max((int(number[:12]) for number in re.findall(r"\d+", text)), default=0))


def _bits(value: object) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _check_bits(bits: float) -> None:
    if bits > MAX_BITS:
        raise TemplateError(f"it makes a number of more than {MAX_BITS} bits")


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def _dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:
    return dict(*args, **kwargs)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
