"""A digest of what an object is: equal for equal ones, in every process, and another for any change."""

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from arms.fingerprint import digest, fingerprint


@dataclass
class Settings:
    width: int
    names: tuple[str, ...] = ()


class Own:
    def __init__(self, value):
        self.value = value


class Cached(Own):
    calls = 0

    def fingerprint(self):
        return digest(type(self), self.value)

    def use(self):
        self.seen = self.calls + 1


class Holder:
    def __init__(self):
        self.me = self


PAIRS = [
    (1, 1.0),
    (1, True),
    ("1", 1),
    ("a", b"a"),
    ([1, 2], [2, 1]),
    ([[1], 2], [1, [2]]),
    (["ab", "c"], ["a", "bc"]),
    ({"a": 1}, {"a": 2}),
    ({1, 2}, {1, 3}),
    (Settings(1), Settings(2)),
    (Settings(1, ("a",)), Settings(1, ("b",))),
    (Own(1), Own(2)),
    (Own(1), Cached(1)),
    (Own(Own(1)), Own(Own(2))),
    (Own(Cached(1)), Own(Cached(2))),
    (np.zeros(2), np.zeros((2, 1))),
    (np.zeros(2), np.zeros(2, np.float32)),
    (torch.zeros(2), torch.ones(2)),
    (torch.zeros(2), torch.zeros(2, dtype=torch.bfloat16)),
    (lambda x: x + 1, lambda x: x * 1),
    (Own, Cached),
    (None, "None"),
    (Path("a"), Path("b")),
]


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=range(len(PAIRS)))
def test_what_differs_has_another_fingerprint(left, right):
    assert fingerprint(left) == fingerprint(left)
    assert fingerprint(left) != fingerprint(right)


def test_equal_objects_have_one_fingerprint():
    assert fingerprint(Own([1, {"a": np.arange(3)}])) == fingerprint(Own([1, {"a": np.arange(3)}]))
    assert fingerprint({3, 1, 2}) == fingerprint({1, 2, 3})


def test_an_object_that_holds_itself_has_one():
    assert fingerprint(Holder()) == fingerprint(Holder())


def test_an_objects_own_word_counts():
    cached = Cached(3)
    before = fingerprint(cached)
    cached.use()
    assert fingerprint(cached) == before == fingerprint(Cached(3))


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_finds_the_same(hash_seed):
    code = "from arms.fingerprint import fingerprint; print(fingerprint([{'b', 'a'}, {'x': 1.5}, range(3)]))"
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == fingerprint([{"b", "a"}, {"x": 1.5}, range(3)])


def test_a_class_of_ones_own_counts_with_its_source(tmp_path):
    found = []
    for line in ("return 1", "return 2"):
        file = tmp_path / line.replace(" ", "_") / "own_draft_source.py"
        file.parent.mkdir()
        file.write_text(f"class Draft:\n    def propose(self):\n        {line}\n")
        spec = importlib.util.spec_from_file_location("own_draft_source", file)
        module = sys.modules["own_draft_source"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(fingerprint(module.Draft()))
    del sys.modules["own_draft_source"]
    assert found[0] != found[1]
