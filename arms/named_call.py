"""A name with settings, as text: `clipped_ips(max_weight=20)`, alone or in a list."""

from __future__ import annotations

import ast
from collections.abc import Mapping

_OPENING, _CLOSING, _QUOTES = "([{", ")]}", "'\""


def read_call(text: str) -> tuple[str, dict[str, object]]:
    """Return the name and the settings of NAME or NAME(SETTING=VALUE, ...); nothing of it is evaluated.

        read_call("epsilon_greedy(epsilon=0.2, policy=lin_ucb(ucb_width=0))")
        # "epsilon_greedy", {"epsilon": 0.2, "policy": "lin_ucb(ucb_width=0)"}

    Values are written as Python writes numbers, texts, True, False, None, lists and dictionaries; a name, with settings
    or without, is a text for whoever makes something of it. A path "package.module:Class" in a value needs quotes.

    Args:
        text: at most a name, and settings in parentheses.

    Raises:
        ValueError: if it reads otherwise, or a setting stands there twice.
    """
    name, parenthesis, inside = text.strip().partition("(")
    if not parenthesis:
        return name, {}
    rule = f"write NAME or NAME(SETTING=VALUE, ...) each setting once, with plain values, got {text!r}"
    source = f"f({inside}"
    try:
        call = ast.parse(source, mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args):
            raise ValueError(rule)
        values = {setting.arg: _value(setting.value, source) for setting in call.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(rule) from error
    if None in values or len(values) < len(call.keywords):
        raise ValueError(rule)
    return name.strip(), {str(key): value for key, value in values.items()}


def with_settings(text: str, settings: Mapping[str, object] | None) -> tuple[str, dict[str, object]]:
    """Return the name of a call, and its settings with those that were given beside it.

    Raises:
        ValueError: see `read_call`; or if a setting is given in both places.
    """
    name, written = read_call(text)
    given = dict(settings or {})
    both = [key for key in written if key in given]
    if both:
        raise ValueError(f"{name}: {both[0]} is set twice, in {text!r} and beside it")
    return name, written | given


def listed(text: str) -> list[str]:
    """Return the entries of a list separated by commas; those within brackets or quotes separate nothing."""
    entries, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in _QUOTES and depth > 0:
            quote = character
        else:
            depth += (character in _OPENING) - (character in _CLOSING)
        if character == "," and depth <= 0 and not quote:
            entries.append("")
        else:
            entries[-1] += character
    return [entry.strip() for entry in entries if entry.strip()]


def _value(node: ast.expr, source: str) -> object:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Call():
            return ast.get_source_segment(source, node)
        case ast.Tuple(elts=parts):
            return tuple(_value(part, source) for part in parts)
        case ast.List(elts=parts):
            return [_value(part, source) for part in parts]
    value: object = ast.literal_eval(node)
    return value
