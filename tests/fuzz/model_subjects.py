"""Inputs around a model: pool files, chat templates, configurations, weights, GGUF files."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from arms import Query
from speculative.drafts.feature_head import FeatureHead
from speculative.models.head_files import load_head
from speculative.models.settings import ModelSettings
from speculative.pools.spec import read_pool_spec
from speculative.sampling.sampling_params import SamplingParams
from speculative.targets.rendering import render
from speculative.targets.target import Target
from tests.fuzz.mutations import NUMBERS, VALUES, damaged_bytes, damaged_json, pick
from tests.fuzz.subject import Damage, Subject
from tests.support.gguf_files import GgufModel
from tests.support.heads import save_head
from tests.support.tiny_models import make_tiny
from tests.support.tiny_pool import POOL, TEMPLATE, byte_tokenizer, save_pool

WEIGHTS = "model.safetensors"
THREE_TOKENS = SamplingParams(max_new_tokens=3)


class Pools(Subject):
    """A pool file."""

    name = "pools"

    def __init__(self, place: Path) -> None:
        values = [json.dumps(value) for value in VALUES if value is not None and value != "\ud800"]
        self._values = [*values, *map(str, NUMBERS), "2026-01-01", "[" * 5000, "'''", "{ x = 1 }", "module:Class"]

    def write(self, rng: np.random.Generator, folder: Path) -> Damage:
        lines = POOL.splitlines()
        at = pick(rng, [i for i, line in enumerate(lines) if line])
        kind = pick(rng, ["value", "value", "value", "key", "remove", "twice", "bytes", "bytes"])
        if kind == "bytes":
            what, content = damaged_bytes(rng, POOL.encode())
            (folder / "pool.toml").write_bytes(content)
            return Damage(what)
        if kind == "value":
            lines[at] = re.sub("=.*", lambda _: f"= {pick(rng, self._values)}", lines[at])
        elif kind == "key":
            lines[at] = f"{pick(rng, ['x', '__class__', 'kind', 'model', 'dtype'])} = {pick(rng, self._values)}"
        elif kind == "remove":
            del lines[at]
        else:
            lines.insert(at, lines[at])
        (folder / "pool.toml").write_text("\n".join(lines))
        return Damage(f"{kind} in line {at}")

    def write_whole(self, folder: Path) -> None:
        (folder / "pool.toml").write_text(POOL)

    def read(self, folder: Path) -> object:
        return read_pool_spec(folder / "pool.toml").model_dump_json()


class Templates(Subject):
    """A chat template, put together at random from what templates do, or damaged."""

    name = "templates"
    _texts = ("'a'", "messages[0].content", "messages", "ns.x", "x", "eos_token", "none", "{'a': [1]}", "range(9)")
    _numbers = ("0", "7", "99999", "10**9", "2**63", "-1", "1.5")

    def __init__(self, place: Path) -> None:
        self._tokenizer = byte_tokenizer()

    def write(self, rng: np.random.Generator, folder: Path) -> Damage:
        if rng.random() < 0.3:
            what, content = damaged_bytes(rng, TEMPLATE.encode())
        else:
            body = "".join(self._statement(rng, 3) for _ in range(int(rng.integers(1, 5))))
            what, content = "drawn", ("{% set ns = namespace(x='ab') %}{% set x = [1, 2] %}" + body).encode()
        (folder / "chat_template.jinja").write_bytes(content)
        return Damage(what)

    def write_whole(self, folder: Path) -> None:
        (folder / "chat_template.jinja").write_text(TEMPLATE)

    def read(self, folder: Path) -> object:
        self._tokenizer.chat_template = (folder / "chat_template.jinja").read_text(errors="replace")
        return render(self._tokenizer, Query(id="q", prompt="hello"))

    def _statement(self, rng: np.random.Generator, depth: int) -> str:
        value, inner = self._value(rng, 2), self._statement(rng, depth - 1) if depth else "."
        forms = [
            f"{{{{ {value} }}}}",
            f"{{% set ns.x = {value} %}}{inner}",
            f"{{% for i in {value} %}}{inner}{{% endfor %}}",
            f"{{% for i in range({pick(rng, list(self._numbers))}) %}}{inner}{{% endfor %}}",
            f"{{% if {value} %}}{inner}{{% else %}}{inner}{{% endif %}}",
            f"{{% macro m(a) %}}{inner}{{{{ m(a) }}}}{{% endmacro %}}{{{{ m({value}) }}}}",
            f"{{% set x %}}{inner}{{{{ x }}}}{{% endset %}}{{{{ x }}}}",
            f"{{% for i in x recursive %}}{inner}{{{{ loop(x) }}}}{{% endfor %}}",
        ]
        return pick(rng, forms)

    def _value(self, rng: np.random.Generator, depth: int) -> str:
        if not depth:
            return pick(rng, [*self._texts, *self._numbers])
        a, b, n = self._value(rng, depth - 1), self._value(rng, depth - 1), pick(rng, list(self._numbers))
        forms = [
            f"({a} {pick(rng, ['+', '*', '**', '~', '%', '//', '-', 'in', '=='])} {b})",
            f"({a}|{pick(rng, ['upper', 'list', 'tojson', 'length', 'join', 'string', 'sum', 'sort', 'trim'])})",
            f"({a}|{pick(rng, ['center', 'indent', 'batch', 'slice', 'tojson', 'format', 'truncate'])}({n}))",
            f"({a}).{pick(rng, ['center', 'replace', 'join', 'format', 'zfill', 'split', '__class__'])}({b})",
            f"('%{n}d' % {b})",
            f"({a})[{n}:]",
        ]
        return pick(rng, forms)


class Checkpoint(Subject):
    """A checkpoint folder that is damaged somewhere, and answers a prompt."""

    def __init__(self, place: Path) -> None:
        save_pool(place)
        self._whole = place / "target"

    def write_whole(self, folder: Path) -> None:
        shutil.copytree(self._whole, folder / "target")

    def read(self, folder: Path) -> object:
        found = Target.load(str(folder / "target")).generate("ab", sampling=THREE_TOKENS)
        if found.failure is not None:
            raise AssertionError(found.failure)
        return found.token_ids


class Configs(Checkpoint):
    """The JSON files of a checkpoint."""

    name = "configs"

    def write(self, rng: np.random.Generator, folder: Path) -> Damage:
        self.write_whole(folder)
        files = ["config.json"] * 3 + ["generation_config.json", "tokenizer_config.json", "tokenizer.json"]
        file = folder / "target" / pick(rng, files)
        what, content = damaged_json(rng, file.read_text())
        file.write_bytes(content)
        return Damage(f"{file.name}: {what}")


class Weights(Checkpoint):
    """The weights of a checkpoint: bytes, or a tensor that is missing, too much, of another shape, kind or content."""

    name = "weights"

    def write(self, rng: np.random.Generator, folder: Path) -> Damage:
        self.write_whole(folder)
        file = folder / "target" / WEIGHTS
        if rng.random() < 0.4:
            what, content = damaged_bytes(rng, file.read_bytes())
            file.write_bytes(content)
            return Damage(what, must_refuse=not what.startswith(("flip", "zero")))
        tensors = load_file(file)
        name = pick(rng, sorted(tensors))
        kind = pick(rng, ["remove", "add", "row", "rows", "flat", "int8", "bool", "int64", "nan", "inf", "index"])
        tensor = tensors.pop(name)
        changed = {
            "row": tensor[:1].clone(),
            "rows": torch.cat([tensor, tensor]),
            "flat": tensor.reshape(-1, 1),
            "int8": tensor.to(torch.int8),
            "bool": tensor > 0,
            "int64": tensor.long(),
            "nan": tensor * float("nan"),
            "inf": tensor / 0,
        }
        if kind == "index":
            text = json.dumps({"metadata": {}, "weight_map": dict.fromkeys([name, *tensors], WEIGHTS)})
            what, content = damaged_json(rng, text)
            (folder / "target" / f"{WEIGHTS}.index.json").write_bytes(content)
            return Damage(f"index: {what}")
        if kind == "add":
            changed["add"] = tensor
            tensors["model.layers.7.mlp.up_proj.weight"] = tensor.clone()
        if kind != "remove":
            tensors[name] = changed[kind]
        save_file(tensors, file, {"format": "pt"})
        return Damage(f"{kind} of {name}", must_refuse=True)


class Heads(Subject):
    """A published head: its configuration, or the bytes of its weights, as safetensors or pickled."""

    name = "heads"

    def __init__(self, place: Path) -> None:
        self._place, self._target = place, make_tiny("llama", place / "target").decoder
        self._forms = ("eagle3", "speculators_eagle3", "eagle_pickled")

    def write(self, rng: np.random.Generator, folder: Path) -> Damage:
        form = pick(rng, list(self._forms))
        save_head(form, folder / "head")
        files = ["config.json", "pytorch_model.bin" if form == "eagle_pickled" else WEIGHTS]
        file = folder / "head" / pick(rng, files)
        if file.suffix == ".json":
            what, content = damaged_json(rng, file.read_text())
        else:
            what, content = damaged_bytes(rng, file.read_bytes())
        file.write_bytes(content)
        return Damage(f"{form}, {file.name}: {what}")

    def write_whole(self, folder: Path) -> None:
        save_head("eagle3", folder / "head")

    def read(self, folder: Path) -> object:
        head = load_head(folder / "head", self._target)
        return FeatureHead(head, self._target, name="head").open([1]).propose([1, 2, 3], 3).token_ids


class Gguf(Subject):
    """A GGUF file: bytes, metadata, or tensors."""

    name = "gguf"

    def __init__(self, place: Path) -> None:
        self._place = place
        self._content = GgufModel().write(place / "m.gguf").read_bytes()
        self._keys = [key.decode() for key in re.findall(rb"(?:llama|tokenizer\.ggml)\.[a-z_.]+", self._content)]

    def write(self, rng: np.random.Generator, folder: Path) -> Damage:
        way = rng.random()
        if way < 0.5:
            what, content = damaged_bytes(rng, self._content)
            (folder / "m.gguf").write_bytes(content)
            return Damage(what, must_refuse=what.startswith(("cut", "empty")))
        if way < 0.8:
            key = pick(rng, self._keys)
            value = pick(rng, [None, 0, 1, 3, 2**31, 0.5, -1.0, float("nan"), True, "x", "", [0], ["x"], [1.5]])
            GgufModel(metadata={key: value}).write(folder / "m.gguf")
            return Damage(f"{key} = {value!r}")
        names = [f"blk.{i}.{part}.weight" for i in (0, 1) for part in ("attn_q", "ffn_up", "attn_norm")]
        name = pick(rng, [*names, "token_embd.weight", "output_norm.weight"])
        if rng.random() < 0.5:
            GgufModel(without=(name,)).write(folder / "m.gguf")
            return Damage(f"without {name}", must_refuse=True)
        shape = pick(rng, [(3, 5), (1,), (64, 128), (128, 64)])
        GgufModel(without=(name,), extra={name: np.ones(shape, np.float32)}).write(folder / "m.gguf")
        return Damage(f"{name} of {shape}", must_refuse=True)

    def write_whole(self, folder: Path) -> None:
        (folder / "m.gguf").write_bytes(self._content)

    def read(self, folder: Path) -> object:
        target = Target.load(str(folder / "m.gguf"), ModelSettings(cache=folder / "cache"))
        found = target.generate("th", sampling=THREE_TOKENS)
        if found.failure is not None:
            raise AssertionError(found.failure)
        return found.token_ids
