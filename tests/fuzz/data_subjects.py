"""Inputs that need no model: saved policies, data folders, prompt files, logs in dsjson."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from arms.query import read_queries
from bandits import FullInformationData, LoggedData, load_policy
from bandits.data.closed_folder import MANIFEST, Manifest, PartRecord, file_digest
from bandits.data.io import read_dsjson, write_dsjson
from bandits.data.parquet_file import write_parquet
from bandits.policies import POLICIES, codec
from bandits.testing import example_data, example_log
from tests.fuzz.mutations import NUMBERS, damaged_bytes, damaged_json, damaged_tree, pick
from tests.fuzz.subject import Damage, Subject

CONTEXTS = np.linspace(-1, 1, 20).reshape(4, 5).astype(np.float32)
PROMPTS = [
    {"prompt": "naïve café 😀"},
    {"id": "a", "prompt": "one two", "domain": "counting", "max_new_tokens": 4},
    {"id": "b", "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "你好\n\u2028"}]},
    {"prompt": "a" * 300, "reference": "b", "unknown": [1, {"x": None}]},
]


class Policies(Subject):
    """A saved policy: bytes damaged, or a forged file whose digest fits."""

    name = "policies"

    def __init__(self, place: Path) -> None:
        self._files = []
        for name, kind in POLICIES.items():
            if name not in ("reinforce", "neural_linear_ts", "regression", "bootstrapped_ts"):
                self._files.append(kind().fit(example_data(reward_kind=kind.reward_kind)).save(place / name))
        self._last = self._files[0]

    def write(self, rng: np.random.Generator, folder: Path) -> Damage:
        self._last = pick(rng, self._files)
        path = folder / codec.FILE_NAME
        if rng.random() < 0.5:
            what, content = damaged_bytes(rng, self._last.read_bytes())
            path.write_bytes(content)
            return Damage(f"{self._last.parent.name}: {what}", must_refuse=True)
        header, tensors = codec.read_file(self._last)
        must_refuse = False
        if rng.random() < 0.5 or not tensors:
            what, header = damaged_tree(rng, header)
        else:
            what, must_refuse = _forged(rng, tensors)
        codec.write_file(path, header, tensors)
        return Damage(f"{self._last.parent.name}, forged: {what}", must_refuse)

    def write_whole(self, folder: Path) -> None:
        shutil.copy(self._last, folder / codec.FILE_NAME)

    def read(self, folder: Path) -> object:
        policy = load_policy(folder)
        found = policy.probabilities(CONTEXTS)
        if not (np.isfinite(found).all() and np.allclose(found.sum(axis=1), 1) and (found >= 0).all()):
            raise AssertionError(f"a {type(policy).__name__} with probabilities {found[0]}")
        return found.tobytes()


def _forged(rng: np.random.Generator, tensors: dict[str, np.ndarray]) -> tuple[str, bool]:
    """Damage one tensor; return what was done, and whether no policy can be so."""
    name = pick(rng, sorted(tensors))
    kind = pick(rng, ["value", "value", "remove", "add", "shape", "dtype", "huge"])
    array = tensors[name]
    if kind == "value" and array.size:
        number = pick(rng, [*NUMBERS[:-3], float("nan"), -1e6, 1e300])
        changed = array.copy().reshape(-1)
        with np.errstate(all="ignore"):
            changed[int(rng.integers(array.size))] = np.array(number, dtype=np.float64).astype(array.dtype)
        tensors[name] = changed.reshape(array.shape)
        return f"{number} in {name}", array.dtype.kind == "f" and number != number
    if kind == "remove":
        del tensors[name]
    elif kind == "add":
        tensors["x"] = array
    elif kind == "shape":
        tensors[name] = np.zeros((2, *array.shape), array.dtype)
    elif kind == "dtype":
        tensors[name] = array.astype(pick(rng, [np.float16, np.int8, np.int64, np.uint8]))
    else:
        tensors[name] = np.zeros((1000, 1000), array.dtype)
    return f"{kind} of {name}", kind in ("remove", "shape")


class Parquet(Subject):
    """A closed data folder: bytes damaged, parts exchanged, or forged so that every digest fits."""

    name = "parquet"

    def __init__(self, place: Path) -> None:
        example_data(20).save(place / "FullInformationData")
        example_log().save(place / "LoggedData")
        self._folders = sorted(place.iterdir())
        self._last = self._folders[0]

    def write(self, rng: np.random.Generator, folder: Path) -> Damage:
        self._last = pick(rng, self._folders)
        self.write_whole(folder)
        data = folder / self._last.name
        part = data / "part-00000.parquet"
        way = rng.random()
        if way < 0.5:
            file = pick(rng, [part, part, data / MANIFEST])
            what, content = damaged_bytes(rng, file.read_bytes())
            file.write_bytes(content)
            return Damage(f"{file.name}: {what}", must_refuse=True)
        if way < 0.6:
            return Damage(_exchanged(rng, data, part), must_refuse=True)
        what = self._forge(rng, part)
        record = PartRecord(part.name, pq.read_metadata(part).num_rows, file_digest(part))
        Manifest(self._last.name, (record,)).write(data)
        return Damage(f"forged: {what}")

    def _forge(self, rng: np.random.Generator, part: Path) -> str:
        table = pq.read_table(part, page_checksum_verification=True)
        header = json.loads(table.schema.metadata[b"draftpick"])
        if rng.random() < 0.4:
            what, header = damaged_tree(rng, header)
        else:
            what, table = _other_table(rng, table)
        with part.open("wb") as file:
            write_parquet(table.replace_schema_metadata({b"draftpick": json.dumps(header).encode()}), file)
        return what

    def write_whole(self, folder: Path) -> None:
        shutil.copytree(self._last, folder / self._last.name)

    def read(self, folder: Path) -> object:
        (found,) = folder.iterdir()
        kind = {"FullInformationData": FullInformationData, "LoggedData": LoggedData}[found.name]
        data: Any = kind.load(found)
        rewards = data.rewards
        if not np.isfinite(data.contexts).all():
            raise AssertionError("contexts that are not finite")
        return data.contexts.tobytes(), rewards.tobytes(), data.arm_names, data.query_ids, len(data)


def _exchanged(rng: np.random.Generator, data: Path, part: Path) -> str:
    kind = pick(rng, ["missing", "double", "foreign", "pipe", "folder", "no manifest", "link to a device"])
    if kind == "double":
        shutil.copy(part, data / "part-00001.parquet")
    elif kind == "foreign":
        (data / "part-0.parquet").write_bytes(b"x")
    elif kind == "no manifest":
        (data / MANIFEST).unlink()
    else:
        part.unlink()
        if kind == "pipe":
            os.mkfifo(part)
        elif kind == "folder":
            part.mkdir()
        elif kind == "link to a device":
            part.symlink_to("/dev/zero")
    return kind


def _other_table(rng: np.random.Generator, table: pa.Table) -> tuple[str, pa.Table]:
    at = int(rng.integers(table.num_columns))
    name, column = table.column_names[at], table.column(at)
    kind = pick(rng, ["drop", "rename", "null", "text", "numbers", "rows", "none", "many", "double", "lists"])
    if kind == "drop":
        return f"without {name}", table.drop_columns([name])
    if kind == "rows":
        return "no rows", table.slice(0, 0)
    if kind == "many":
        return "many rows", pa.concat_tables([table] * 2000)
    if kind == "double":
        return f"{name} twice", table.append_column(name, column)
    n = len(table)
    new = {
        "rename": column,
        "null": pa.nulls(n),
        "text": pa.array(["\u2028é"] * n),
        "numbers": pa.array([float(pick(rng, NUMBERS)) for _ in range(n)]),
        "none": pa.array([None] + [1.0] * (n - 1)),
        "lists": pa.array([[1.0, float("nan")]] * n),
    }[kind]
    return f"{kind} in {name}", table.set_column(at, "x" if kind == "rename" else name, new)


class Prompts(Subject):
    """A prompt file."""

    name = "prompts"

    def __init__(self, place: Path) -> None:
        self._lines = [json.dumps(row, ensure_ascii=False) for row in PROMPTS]

    def write(self, rng: np.random.Generator, folder: Path) -> Damage:
        lines = [line.encode() for line in self._lines]
        at = int(rng.integers(len(lines)))
        if rng.random() < 0.7:
            what, lines[at] = damaged_json(rng, self._lines[at])
            content = b"\n".join(lines)
        else:
            what, content = damaged_bytes(rng, b"\n".join(lines))
        (folder / "prompts.jsonl").write_bytes(content)
        try:
            content.decode()
        except UnicodeDecodeError:
            return Damage(what, must_refuse=True)
        return Damage(what)

    def write_whole(self, folder: Path) -> None:
        (folder / "prompts.jsonl").write_text("\n".join(self._lines))

    def read(self, folder: Path) -> object:
        return [query.model_dump_json() for query in read_queries(folder / "prompts.jsonl")]


class Dsjson(Subject):
    """A log in Vowpal Wabbit's form."""

    name = "dsjson"

    def __init__(self, place: Path) -> None:
        log = LoggedData(
            np.ones((4, 3), np.float32), [0, 1, 1, 0], [0.5, 0.0, -1.0, 1.0], [0.5] * 4, ("a", "b"), times=[1.7e9] * 4
        )
        write_dsjson(log, place / "log.dsjson")
        self._lines = (place / "log.dsjson").read_text().splitlines()

    def write(self, rng: np.random.Generator, folder: Path) -> Damage:
        lines = [line.encode() for line in self._lines]
        at = int(rng.integers(len(lines)))
        if rng.random() < 0.7:
            what, lines[at] = damaged_json(rng, self._lines[at])
            content = b"\n".join(lines)
        else:
            what, content = damaged_bytes(rng, b"\n".join(lines))
        (folder / "log.dsjson").write_bytes(content)
        return Damage(what)

    def write_whole(self, folder: Path) -> None:
        (folder / "log.dsjson").write_text("\n".join(self._lines))

    def read(self, folder: Path) -> object:
        log = read_dsjson(folder / "log.dsjson")
        return log.contexts.tolist(), log.actions.tolist(), log.rewards.tolist(), log.propensities.tolist()
