"""Writing pool files: as TOML, with models named by where they lie."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

from speculative.pools.spec import beside

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # TOML 1.0; every other key is quoted


def arms_of_file(file: Path) -> list[dict[str, object]]:
    """Return the entries of `arms` of a pool file that was read before."""
    arms = _table(file)["arms"]
    assert isinstance(arms, list)
    return arms


def with_arms(file: Path, arms: Sequence[Mapping[str, object]]) -> str:
    """Return a pool file's text with other arms; paths that were relative to it are absolute."""
    return toml_of({**_table(file), "arms": arms})


def toml_of(table: Mapping[str, object]) -> str:
    """Return a table as TOML: plain values, then tables, then lists of tables."""
    plain = {key: value for key, value in table.items() if not _is_table(value) and not _is_tables(value)}
    lines = _pairs(plain)
    for key, value in table.items():
        if _is_table(value):
            lines += ["", f"[{_key(key)}]", *_pairs(value)]
        elif _is_tables(value):
            for entry in value:
                lines += ["", f"[[{_key(key)}]]", *_pairs(entry)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _table(file: Path) -> dict[str, object]:
    return beside(file.resolve().parent, tomllib.loads(file.read_text(encoding="utf-8")))


def _is_table(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping)


def _is_tables(value: object) -> TypeGuard[Sequence[Mapping[str, object]]]:
    return isinstance(value, Sequence) and not isinstance(value, str) and bool(value) and all(map(_is_table, value))


def _pairs(table: Mapping[str, object]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items()]


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_pairs(value)) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)  # numbers; TOML's dates do not occur in a pool file


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
