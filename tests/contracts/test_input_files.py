"""Whatever reads a file refuses a pipe, which would keep it waiting for ever, and says so."""

import importlib
import inspect
import os
import re
import signal
from pathlib import Path

import pytest

from arms.manifest import check_manifest
from arms.observation_parts import read_part
from arms.query import read_queries
from arms.toml_file import read_toml
from bandits import FullInformationData, LinUCB, LoggedData, load_policy
from bandits.data.closed_folder import Manifest, file_digest
from bandits.data.io.table_files import read_table
from bandits.evaluation import Comparison
from bandits.online import DecisionLog, Learner
from bandits.online.segments import BEGINNING, read_record, read_records
from speculative.collection.priced_folder import stored_costs
from speculative.distillation.corpus import read_corpus_part
from speculative.drafts.draft_model import VOCABULARY_FILE, read_vocabulary
from speculative.measuring.wall_clock import read_runs
from speculative.models.json_file import read_json_object
from speculative.models.loading import load_model
from speculative.models.tokenizer import load_tokenizer
from speculative.pools.spec import read_pool_spec
from speculative.serving.upstream_spec import read_upstream_pool
from tests.support.public_names import public_names
from tests.support.tiny_pool import POOL, byte_tokenizer

ROOT = Path(__file__).parents[2]
SEGMENT = "segment-00000000.jsonl"
UPSTREAMS = '[[arms]]\nkind = "upstream"\nname = "a"\nurl = "http://127.0.0.1:1"\n'


def _learner(folder):
    return Learner(LinUCB(), folder / "log", folder)


LOADERS = {  # what stands in the folder as a pipe, and what reads it
    "a manifest of a job": ("job.json", lambda folder: check_manifest(folder / "job.json", {})),
    "observations": ("part", lambda folder: read_part(folder / "part", "job")),
    "prompts": ("prompts.jsonl", lambda folder: read_queries(folder / "prompts.jsonl")),
    "TOML": ("a.toml", lambda folder: read_toml(folder / "a.toml", "file")),
    "a manifest of data": ("manifest.json", Manifest.read),
    "full-information data": ("manifest.json", FullInformationData.load),
    "logged data": ("manifest.json", LoggedData.load),
    "a file's digest": ("a", lambda folder: file_digest(folder / "a")),
    "a table of CSV": ("a.csv", lambda folder: read_table(folder / "a.csv")),
    "a table of JSON": ("a.jsonl", lambda folder: read_table(folder / "a.jsonl")),
    "a policy": ("policy.safetensors", lambda folder: load_policy(folder / "policy.safetensors")),
    "a policy in its folder": ("policy.safetensors", load_policy),
    "a comparison": ("a.json", lambda folder: Comparison.load(folder / "a.json")),
    "decisions": (SEGMENT, lambda folder: list(read_records(folder, BEGINNING))),
    "a decision": (SEGMENT, lambda folder: read_record(folder, BEGINNING)),
    "a decision log": (SEGMENT, DecisionLog),
    "a learner's place": ("checkpoint.json", _learner),
    "costs of collected data": ("costs.json", stored_costs),
    "a corpus": ("part", lambda folder: read_corpus_part(folder / "part")),
    "runs": ("runs.json", lambda folder: read_runs(folder / "runs.json")),
    "a configuration": ("config.json", lambda folder: read_json_object(folder / "config.json")),
    "a model": ("config.json", load_model),
    "a tokenizer": ("tokenizer.json", load_tokenizer),
    "a draft's vocabulary": (VOCABULARY_FILE, lambda folder: read_vocabulary(folder, byte_tokenizer(None))),
    "a pool": ("pool.toml", lambda folder: read_pool_spec(folder / "pool.toml")),
    "upstreams": ("pool.toml", lambda folder: read_upstream_pool(folder / "pool.toml")),
}


@pytest.fixture
def seconds():
    """End a test that waits for a pipe."""

    def end(number, frame):
        raise TimeoutError("it waits for the pipe")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize(("name", "load"), LOADERS.values(), ids=LOADERS)
def test_a_pipe_is_refused_by_every_loader(tmp_path, seconds, name, load):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=re.escape(name)):
        load(tmp_path)


def exported_functions():
    """Yield every exported function, and every public method of an exported class, by name."""
    for name in public_names():
        module, _, last = name.rpartition(".")
        value = getattr(importlib.import_module(module), last)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            methods = ((key, inspect.getattr_static(value, key)) for key in dir(value) if not key.startswith("_"))
            functions = ((key, getattr(one, "__func__", one)) for key, one in methods)
            yield from ((f"{name}.{key}", one) for key, one in functions if inspect.isfunction(one))


def test_what_takes_a_path_takes_its_text_too(tmp_path):
    wrong = [
        f"{name}({parameter.name}: {parameter.annotation})"
        for name, function in exported_functions()
        for parameter in inspect.signature(function).parameters.values()
        if "Path" in str(parameter.annotation) and "str" not in str(parameter.annotation)
    ]
    assert not wrong, "annotate them str | Path, and make a Path of it"
    for text, read in ((POOL, read_pool_spec), (UPSTREAMS, read_upstream_pool)):
        file = tmp_path / "pool.toml"
        file.write_text(text)
        assert read(str(file)) == read(file)


READS = re.compile(r"\.(read_text|read_bytes)\(|\bopen\([^)]*\"rb\"|\bopen\(encoding|\.open\(\)|np\.load\(")
READERS = {
    "arms/input_file.py": "the reader",
    "arms/query.py": "checks first: it reads line by line",
    "bandits/data/closed_folder.py": "checks first: it reads piece by piece",
    "bandits/data/io/table_files.py": "checks first: it reads the first line",
    "bandits/encoders/sentence.py": "finds the files itself",
    "bandits/evaluation/report.py": "a file of the package",
    "bandits/online/segments.py": "checks first: it reads line by line",
    "bandits/policies/codec.py": "checks first: it reads the first bytes",
    "speculative/cli/demo.py": "what it has written itself",
    "speculative/demo/queries.py": "a file of the package",
    "speculative/explaining/page.py": "a file of the package",
    "speculative/serving/live_page.py": "a file of the package",
    "speculative/models/content_digest.py": "files that GgufFile has opened",
    "speculative/models/gguf_file.py": "checks first: it maps the file",
    "speculative/models/gguf_tokenizer.py": "what it has written itself",
    "speculative/models/json_file.py": "checks first: the generation core imports no arms",
    "speculative/models/kernels/settle.py": "the processor's description",
    "speculative/models/rounded_blocks.py": "files whose headers were read",
    "speculative/models/weight_files.py": "files that it has checked",
    "speculative/measuring/machine.py": "the processor's description",
    "speculative/protocols/free_memory.py": "the system's description of its memory",
}


def test_files_are_read_in_one_place():
    found = {
        str(path.relative_to(ROOT))
        for package in ("arms", "bandits", "rewards", "speculative")
        for path in (ROOT / package).rglob("*.py")
        if READS.search(path.read_text(encoding="utf-8"))
    }
    assert found <= set(READERS), "use arms.input_file.read_text, or say here why it cannot wait for a pipe"
