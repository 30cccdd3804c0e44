"""A checkpoint is what its configuration says, or it is refused by name, by the decoder and by the adapter."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from speculative.models.loading import load_decoder, load_model
from speculative.models.settings import ModelSettings
from speculative.models.tokenizer import load_tokenizer
from speculative.models.weight_files import read_weights
from speculative.protocols.token_batch import TokenBatch
from tests.support.tiny_models import save_tiny

UP = "model.layers.1.mlp.up_proj.weight"
EMBEDDING = "model.embed_tokens.weight"


@pytest.fixture
def change(tmp_path):
    """Write a tiny checkpoint with some tensors replaced (None: left out) and some configuration changed."""

    def write(tensors, **config):
        save_tiny("llama", tmp_path)
        weights = load_file(tmp_path / "model.safetensors") | tensors
        held = {name: tensor for name, tensor in weights.items() if tensor is not None}
        save_file(held, tmp_path / "model.safetensors", {"format": "pt"})
        raw = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(raw | config))
        return str(tmp_path)

    return write


@pytest.mark.parametrize("backend", ["decoder", "transformers"])
@pytest.mark.parametrize(
    ("tensors", "config", "message"),
    [
        ({UP: None}, {}, "lacks the tensor .*layers.1.mlp.up_proj.weight"),
        ({"model.layers.0.mlp.gate_proj.weight": torch.ones(1, 16)}, {}, "gate_proj.weight"),
        ({EMBEDDING: torch.ones(29, 16)}, {}, "embed_tokens.weight"),
        ({EMBEDDING: torch.ones(19, 16)}, {}, "embed_tokens.weight"),
        ({"lm_head.weight": torch.ones(29, 16)}, {}, "lm_head.weight"),
        ({"model.layers.0.mlp.up_proj.extra": torch.ones(2)}, {}, "holds the tensor .*up_proj.extra"),
        ({"model.layers.0.self_attn.q_proj.bias": torch.ones(16)}, {}, "holds the tensor .*q_proj.bias"),
        ({}, {"num_hidden_layers": 1}, "holds the tensor .*layers.1"),
        ({}, {"num_hidden_layers": 3}, "lacks the tensor .*layers.2"),
        ({}, {"num_key_value_heads": 4}, "k_proj.weight"),
        ({}, {"attention_bias": True}, "lacks the tensor .*(k|q)_proj.bias"),
        ({UP: torch.ones(24, 16, dtype=torch.int8)}, {}, "must hold floats of 16 to 64 bits, got (torch.int8|I8)"),
        ({UP: torch.ones(24, 16, dtype=torch.bool)}, {}, "must hold floats of 16 to 64 bits, got (torch.bool|BOOL)"),
    ],
)
def test_a_checkpoint_that_is_not_what_it_says_is_refused_by_the_tensor(change, backend, tensors, config, message):
    with pytest.raises(ValueError, match=message):
        load_model(change(tensors, **config), backend=backend)


def test_what_an_old_checkpoint_keeps_besides_is_passed_over(change):
    load_decoder(change({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)}))


def test_a_weight_that_is_no_number_is_refused(change):
    with pytest.raises(ValueError, match=r"'norm.weight' holds NaN or infinity; the checkpoint is damaged"):
        load_decoder(change({"model.norm.weight": torch.full((16,), torch.nan)}))


def test_a_tensor_may_not_have_two_names_or_stand_in_two_files(change, tmp_path):
    folder = change({"norm.weight": torch.ones(16)})
    with pytest.raises(ValueError, match=r"holds both .*norm.weight"):
        load_decoder(folder)
    (tmp_path / "model.safetensors").rename(tmp_path / "a.safetensors")
    save_file({"norm.weight": torch.ones(16)}, tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match=r"b.safetensors and .*a.safetensors both hold the tensor 'norm.weight'"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    "place", [None, 3, ["model.safetensors"], "../model.safetensors", "/etc/passwd", "", ".", "config.json"]
)
def test_an_index_names_weight_files_of_its_folder_and_nothing_else(change, tmp_path, place):
    folder = change({})
    (tmp_path / "model.safetensors").rename(tmp_path / "model-1.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"lm_head.weight": place}}))
    with pytest.raises(ValueError, match=r"the file of 'lm_head.weight' must be the name of a .safetensors file"):
        load_decoder(folder)


@pytest.mark.parametrize("text", ["[]", "null", '{"weight_map": []}', '{"weight_map": null}', "[" * 100_000, "\xff"])
def test_an_index_of_another_form_is_refused(change, tmp_path, text):
    folder = change({})
    (tmp_path / "model.safetensors").rename(tmp_path / "model-1.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"model.safetensors.index.json"):
        load_decoder(folder)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n"])
def test_a_weight_file_that_is_none_is_named(change, tmp_path, content):
    folder = change({})
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"model.safetensors is not a readable safetensors file") as raised:
        load_decoder(folder)
    assert ("git lfs pull" in str(raised.value)) == bool(content)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer_config.json", "extra.safetensors"])
def test_a_pipe_is_refused_and_not_waited_for(change, tmp_path, name):
    folder = change({})
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    for backend in ("auto", "decoder", "transformers"):
        with pytest.raises(ValueError, match=f"{name} must be a regular file"):
            load_model(folder, backend=backend)
    with pytest.raises(ValueError, match=f"{name} must be a regular file"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"model": 3}', '{"model": {"type": "BPE", "vocab": 1}}'])
def test_a_broken_tokenizer_is_one_error(tmp_path, name, text):
    save_tiny("llama", tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="its tokenizer cannot be read"):
        load_tokenizer(tmp_path)


CONFIG = {
    "vocab_size": [None, "24", 24.5, -1, 0, True, [24], 10**30],
    "hidden_size": [None, "16", 0, 7],
    "num_hidden_layers": [None, "2", -2, 10**9, {}],
    "num_attention_heads": [None, 0, "4", 3, 2**40],
    "num_key_value_heads": [0, 3, "2", -1, 8],
    "head_dim": [0, 3, "x", -4],
    "intermediate_size": [None, 0, "24", 10**12],
    "max_position_embeddings": [0, -5, "96", 2**31, 1e300],
    "rms_norm_eps": [None, "a", -1.0, 0, float("nan"), float("inf"), []],
    "rope_parameters": [
        3,
        "x",
        [],
        {"rope_type": 3},
        {"rope_theta": "x"},
        {"rope_theta": -1.0},
        {"rope_type": "linear"},
    ],
    "tie_word_embeddings": ["yes", 3],
    "model_type": [3, ["llama"], None, {}, "no_such_family"],
    "hidden_act": [3, "gelu_of_nowhere"],
}


@pytest.mark.parametrize("key", CONFIG)
def test_a_configuration_changed_at_random_is_one_error(change, key):
    for value in CONFIG[key]:
        if key == "rope_parameters" and value == []:
            continue  # as if left out
        with pytest.raises(ValueError, match=r"."):
            load_model(change({}, **{key: value}))


def test_a_single_file_goes_before_an_index_as_in_transformers(change, tmp_path):
    folder = change({})
    other = {name: tensor * 2 for name, tensor in load_file(tmp_path / "model.safetensors").items()}
    save_file(other, tmp_path / "model-00001-of-00001.safetensors", {"format": "pt"})
    index = {"weight_map": dict.fromkeys(other, "model-00001-of-00001.safetensors")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    tokens = torch.arange(9)
    ours, theirs = (
        model.forward(TokenBatch(tokens, [9]), model.new_cache(1)).logits
        for model in (load_model(folder, backend="decoder"), load_model(folder, backend="transformers"))
    )
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("backend", ["decoder", "transformers"])
@pytest.mark.parametrize("at", [1, -1])
def test_one_number_of_many_that_is_none_is_found(tmp_path, backend, at):
    save_tiny("llama", tmp_path, hidden_size=64, intermediate_size=512)
    weights = load_file(tmp_path / "model.safetensors")
    weights[UP].view(-1)[at] = torch.nan
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"up_proj.weight' holds NaN or infinity"):
        load_model(str(tmp_path), backend=backend)


def test_a_number_beyond_the_dtype_asked_for_is_refused(change):
    folder = change({UP: torch.full((24, 16), 1e6)})
    load_decoder(folder)
    with pytest.raises(ValueError, match=r"up_proj.weight' holds NaN or infinity as torch.float16"):
        load_decoder(folder, ModelSettings(dtype=torch.float16))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.bool, torch.int64])
def test_every_tensor_but_a_known_mask_must_hold_floats(change, dtype):
    bias = {"model.layers.0.self_attn.q_proj.bias": torch.ones(16, dtype=dtype)}
    with pytest.raises(ValueError, match=r"q_proj.bias' must hold floats"):
        load_model(change(bias), backend="transformers")
