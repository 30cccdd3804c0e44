"""A dense checkpoint is rounded to blocks once, and what is kept is never another model's, form's or a half."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from speculative.models import content_digest, loading, rounded_blocks
from speculative.models.block_file import StoredBlocks
from speculative.models.linear import WideInt4Linear
from speculative.models.loading import load_decoder
from speculative.models.settings import ModelSettings
from speculative.models.weight_blocks import WeightBlocks
from speculative.models.weight_files import BLOCKS_FILE
from speculative.protocols.token_batch import TokenBatch
from tests.support.tiny_models import save_tiny


@pytest.fixture
def folder(tmp_path):
    save_tiny("llama", tmp_path / "model", hidden_size=64, intermediate_size=96)
    return tmp_path / "model"


@pytest.fixture
def load(tmp_path, folder, monkeypatch):
    """Load with everything worth keeping, and give the logits."""
    monkeypatch.setattr(rounded_blocks, "WORTH_KEEPING", 1)

    def logits(weights="int4", cache=tmp_path / "cache"):
        model = load_decoder(str(folder), ModelSettings(weights=weights, cache=cache))
        return model.forward(TokenBatch(torch.arange(9), [9]), model.new_cache(1)).logits

    return logits


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "models").iterdir())


def test_what_is_kept_is_what_would_be_rounded_and_is_used_again(tmp_path, folder, load, monkeypatch):
    first = load()
    [found] = kept(tmp_path)
    stamp = (found / BLOCKS_FILE).stat().st_mtime_ns
    assert torch.equal(load("int4"), first)
    assert (found / BLOCKS_FILE).stat().st_mtime_ns == stamp
    dense = load_file(folder / "model.safetensors")
    for name, block in StoredBlocks(found / BLOCKS_FILE).items():
        expected = WeightBlocks.quantise(dense[name], 8 if name == "lm_head.weight" else 4)
        assert torch.equal(block.dense(), expected.dense())
    monkeypatch.setattr(rounded_blocks, "WORTH_KEEPING", 2**40)
    assert torch.equal(load(cache=tmp_path / "other"), first)
    assert not (tmp_path / "other").exists()


def test_another_content_form_or_loader_is_kept_apart(tmp_path, folder, load, monkeypatch):
    load("int4")
    load("int4_fast")
    assert len(kept(tmp_path)) == 1
    load("int4_all")
    assert len(kept(tmp_path)) == 2
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"model.norm.weight": 2 * weights["model.norm.weight"]}, folder / "model.safetensors")
    load()
    assert len(kept(tmp_path)) == 3
    monkeypatch.setattr(content_digest, "LOADER_VERSION", 0)
    load()
    assert len(kept(tmp_path)) == 4


def test_a_run_that_was_killed_leaves_nothing_that_is_taken_for_whole(tmp_path, folder, load):
    code = """
import os, sys
from pathlib import Path
from speculative.models import block_file, rounded_blocks
from speculative.models.linear import WideInt4Linear
from speculative.models.loading import load_decoder
from speculative.models.settings import ModelSettings
rounded_blocks.WORTH_KEEPING = 1
block_file.tell = lambda done, total, what: os._exit(9)
load_decoder(sys.argv[1], ModelSettings(weights="int4", cache=Path(sys.argv[2])))
"""
    killed = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path / "cache")], check=False, timeout=120
    )
    assert killed.returncode == 9
    assert [path.name.endswith(".partial") for path in kept(tmp_path)] == [True]
    load()
    assert [path.name.startswith("model-") for path in kept(tmp_path)] == [True]


def test_rounding_says_what_it_does(load, caplog):
    with caplog.at_level("INFO", "speculative"):
        load()
    said = [record.getMessage() for record in caplog.records]
    assert "to int4 in" in said[0]
    assert said[-1].endswith("matrices in blocks written")


def test_weights_that_the_memory_could_not_hold_are_refused_before_they_are_read(folder, monkeypatch):
    monkeypatch.setattr(loading, "free_bytes", lambda device: 1000)
    with pytest.raises(ValueError, match=r"model: the weights would take .* GB are free; ask for weights='int4'"):
        load_decoder(str(folder))


def test_a_bfloat16_copy_counts_as_memory_and_each_form_is_advised_a_smaller_one(folder, load, monkeypatch):
    monkeypatch.setattr(WideInt4Linear, "supported", staticmethod(lambda: True))
    load("int4")
    load("int4_all")
    weights = load_file(folder / "model.safetensors")
    n_copied = sum(2 * tensor.numel() for name, tensor in weights.items() if name.endswith("_proj.weight"))
    monkeypatch.setattr(loading, "free_bytes", lambda device: n_copied)
    load("int4")
    with pytest.raises(ValueError, match=r"as int4_fast, torch.float32, but .* ask for weights='int4' or a smaller"):
        load("int4_fast")
    monkeypatch.setattr(loading, "free_bytes", lambda device: 1000)
    with pytest.raises(ValueError, match=r"as int4, .* ask for weights='int4_all' or a smaller model"):
        load("int4")
    with pytest.raises(ValueError, match=r"as int4_all, .* ask for a smaller model"):
        load("int4_all")
