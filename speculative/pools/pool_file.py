"""Writing pool files: as TOML, with models named by where they lie."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TypeGuard

from arms.toml_file import read_toml
from speculative.drafts import DraftModel
from speculative.pools.arm_specs import ArmSpec
from speculative.pools.spec import PoolSpec, beside

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # TOML 1.0; every other key is quoted


def arms_of_file(file: Path) -> list[dict[str, object]]:
    """Return the entries of `arms` of a pool file that was read before."""
    arms = _table(file)["arms"]
    assert isinstance(arms, list)
    return arms


def rewritten(file: Path, changes: Mapping[str, object]) -> str:
    """Return a pool file's text with some keys changed and all others kept; relative paths become absolute."""
    return toml_of({**_table(file), **changes})


def held_entries(entries: Sequence[Mapping[str, object]], before: PoolSpec, after: PoolSpec) -> list[dict[str, object]]:
    """Return entries of `arms` with draft models in another arithmetic.

    Arms that a file does not name are named after their drafts; rules follow.

    Args:
        entries: those of `before`, as its file has them, then other rules.
        before: the pool as its file says it.
        after: the same arms, their draft models held otherwise.
    """
    renamed: dict[object, str] = {}
    found = []
    for entry, old, new in zip_longest(entries, before.arms, after.arms):
        held = dict(entry)
        if old != new and isinstance(old, ArmSpec) and isinstance(new, ArmSpec):
            held |= {key: getattr(new.draft, key) for key in ("dtype", "weights")}
            renamed[_default_name(old)] = _default_name(new)
        found.append(held)
    return [_renamed(entry, renamed) if entry.get("kind") == "rule" else entry for entry in found]


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


def _default_name(arm: ArmSpec) -> str:
    assert isinstance(arm.draft, DraftModel.Spec)
    return arm.name_with(arm.draft.draft_name)


def _renamed(rule: dict[str, object], names: Mapping[object, str]) -> dict[str, object]:
    clauses = rule["clauses"]
    assert _is_tables(clauses)
    arms = [{**clause, "arm": names.get(clause["arm"], clause["arm"])} for clause in clauses]
    return {**rule, "clauses": arms, "fallback": names.get(rule["fallback"], rule["fallback"])}


def _table(file: Path) -> dict[str, object]:
    return beside(file.resolve().parent, read_toml(file, "pool file"))


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
