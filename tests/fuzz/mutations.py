"""How files are damaged: bytes, JSON values, texts. Everything is drawn from one generator."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

Rng = np.random.Generator

NUMBERS = [0, -1, 1, 3, 10**6, 2**31, 2**63, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf")]
VALUES = [
    None,
    True,
    False,
    "",
    " ",
    "x",
    "x" * 10_000,
    "\ud800",
    "\0",
    "../../x",
    [],
    {},
    [[]],
    {"x": 1},
    [None],
    ["x", 3],
]
DEEP = "[" * 100_000 + "]" * 100_000


def pick(rng: Rng, options: list[Any]) -> Any:
    """Draw one of the options."""
    return options[int(rng.integers(len(options)))]


def damaged_bytes(rng: Rng, content: bytes) -> tuple[str, bytes]:
    """Return what was done, and the bytes after it: never those before."""
    out = bytearray(content)
    at, n = int(rng.integers(len(out))), int(rng.integers(1, 64))
    kind = pick(rng, ["flip", "flip", "flip", "cut", "zero", "insert", "repeat", "remove", "empty", "append"])
    if kind == "flip":
        for place in rng.integers(len(out), size=int(rng.integers(1, 5))):
            out[place] ^= 1 << int(rng.integers(8))
    elif kind == "cut":
        del out[at:]
    elif kind == "zero":
        out[at : at + n] = bytes(len(out[at : at + n]))
    elif kind == "insert":
        out[at:at] = rng.bytes(n)
    elif kind == "repeat":
        out[at:at] = out[at : at + n]
    elif kind == "remove":
        del out[at : at + n]
    elif kind == "empty":
        out.clear()
    else:
        out += rng.bytes(n)
    return (f"{kind} at {at}", bytes(out)) if bytes(out) != content else damaged_bytes(rng, content)


def damaged_tree(rng: Rng, tree: Any) -> tuple[str, Any]:
    """Return what was done, and a copy of a JSON value with one value in it replaced, removed, added or nested."""
    tree = copy.deepcopy(tree)
    holder, key = pick(rng, list(_places(tree)))
    kind = pick(rng, ["number", "number", "value", "value", "remove", "nest", "swap", "add"])
    if kind == "number":
        holder[key] = pick(rng, NUMBERS)
    elif kind == "value":
        holder[key] = pick(rng, VALUES)
    elif kind == "remove":
        del holder[key]
    elif kind == "nest":
        holder[key] = [holder[key]]
    elif kind == "swap":
        other, place = pick(rng, list(_places(tree)))
        holder[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(holder[key])
    elif isinstance(holder, dict):
        holder[pick(rng, ["", "x", "\ud800", "__class__"])] = pick(rng, VALUES)
    else:
        holder.append(pick(rng, VALUES))
    return f"{kind} at {key!r}", tree


def damaged_json(rng: Rng, text: str) -> tuple[str, bytes]:
    """Return what was done, and the bytes of a JSON text: its values changed, or its bytes, or one very deep."""
    way = rng.random()
    if way < 0.02:
        return "deep", DEEP.encode()
    if way < 0.3:
        return damaged_bytes(rng, text.encode())
    what, tree = damaged_tree(rng, json.loads(text))
    return what, json.dumps(tree).encode()


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    for key in keys:
        yield tree, key
        if isinstance(tree[key], (dict, list)):
            yield from _places(tree[key])
