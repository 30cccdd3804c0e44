"""Checkpoints at 8 bits are read as the weights that they stand for; every other format is refused by name."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from speculative.models.loading import load_decoder, load_model
from speculative.models.quantised import Dequantised
from speculative.models.settings import ModelSettings
from speculative.protocols.token_batch import TokenBatch
from tests.support.tiny_models import N_VOCAB, save_tiny

FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}
W8A8 = {"quant_method": "compressed-tensors", "format": "int-quantized"}
TOKENS = torch.arange(12) % N_VOCAB
LOW = torch.ones(2, 2).to(torch.float8_e4m3fn)


def logits_of(model):
    return model.forward(TokenBatch(TOKENS, [len(TOKENS)]), model.new_cache(1)).logits


def quantise(folder, change, settings):
    """Replace each projection by what `change` makes of it, and return the weights that it stands for."""
    save_tiny("llama", folder, hidden_size=32, intermediate_size=48)
    stored, plain = {}, {}
    for name, weight in load_file(folder / "model.safetensors").items():
        stored[name] = plain[name] = weight
        if "_proj" in name:
            parts, plain[name] = change(weight)
            stored |= {name.removesuffix("weight") + suffix: tensor for suffix, tensor in parts.items()}
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    raw = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw | {"quantization_config": settings}))
    return raw, plain


def expected_logits(folder, raw, plain):
    folder.mkdir()
    save_file(plain, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(raw))
    return logits_of(load_decoder(str(folder)))


def fp8(weight):
    scale = weight.abs().max() / 448
    low = (weight / scale).to(torch.float8_e4m3fn)
    return {"weight": low, "weight_scale_inv": scale.reshape(1, 1)}, low.float() * scale


def w8a8(weight):
    scale = weight.abs().amax(1, keepdim=True) / 127
    low = (weight / scale).round().to(torch.int8)
    return {"weight": low, "weight_scale": scale}, low.float() * scale


def w8a8_asymmetric(weight):
    low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    scale = (high - low) / 255
    zero = (-128 - low / scale).round().to(torch.int8)
    levels = (weight / scale + zero).round().clamp(-128, 127).to(torch.int8)
    return {"weight": levels, "weight_scale": scale, "weight_zero_point": zero}, (levels.float() - zero.float()) * scale


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (fp8, FP8),
        (w8a8, W8A8),
        (w8a8_asymmetric, W8A8),
        (w8a8, W8A8 | {"config_groups": {"a": {"weights": {"num_bits": 8, "strategy": "channel"}}}}),
    ],
)
def test_eight_bits_are_read_as_the_weights_they_stand_for(tmp_path, change, settings):
    raw, plain = quantise(tmp_path / "low", change, settings)
    found = logits_of(load_decoder(str(tmp_path / "low")))
    torch.testing.assert_close(found, expected_logits(tmp_path / "plain", raw, plain), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_weight_is_dequantised_once(tmp_path, monkeypatch, dtype):
    quantise(tmp_path, w8a8, W8A8)
    asked, get = [], Dequantised.__getitem__
    monkeypatch.setattr(Dequantised, "__getitem__", lambda self, name: asked.append(name) or get(self, name))
    load_decoder(str(tmp_path), ModelSettings(dtype=dtype))
    assert len(asked) == len(set(asked)) > 0


def test_fp8_gives_what_transformers_gives_and_so_does_the_adapter(tmp_path):
    quantise(tmp_path, fp8, FP8)
    with torch.inference_mode():
        expected = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)(TOKENS[None]).logits[0]
    for backend in ("decoder", "transformers"):
        found = logits_of(load_model(str(tmp_path), backend=backend))
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0.0)


def test_each_block_of_fp8_weights_has_its_own_scale_ragged_edges_too():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 7, generator=generator).to(torch.float8_e4m3fn)
    scales = torch.rand(3, 2, generator=generator)
    found = Dequantised({"w": weight, "w_scale_inv": scales}, "_scale_inv", (2, 4))
    assert list(found) == ["w"]
    expected = torch.tensor([[weight[i, j].float() * scales[i // 2, j // 4] for j in range(7)] for i in range(5)])
    assert torch.equal(found["w"], expected)
    with pytest.raises(ValueError, match=r"the scales of 'w' must have the shape \(3, 2\), got \(2, 2\)"):
        Dequantised({"w": weight, "w_scale_inv": scales[:2]}, "_scale_inv", (2, 4))["w"]
    with pytest.raises(ValueError, match="'w' has 8 bits and no scales 'w_scale_inv'"):
        Dequantised({"w": weight}, "_scale_inv", (2, 4))["w"]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "an unnamed one"),
        (False, "False"),
        ({"quant_method": "awq", "bits": 4}, "awq"),
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"bits": 4, "group_size": 64}, "MLX"),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized"}, "compressed-tensors pack-quantized"),
        (W8A8 | {"config_groups": {"a": {"weights": {"num_bits": 4}}}}, "compressed-tensors int-quantized"),
        (W8A8 | {"config_groups": {"a": {"weights": None}}}, "compressed-tensors int-quantized"),
        (W8A8 | {"config_groups": {"a": {"weights": {"strategy": "group"}}}}, "compressed-tensors int-quantized"),
        (W8A8 | {"config_groups": [3]}, "compressed-tensors int-quantized"),
        ("int4", "int4"),
    ],
)
@pytest.mark.parametrize("backend", ["auto", "transformers"])
def test_other_formats_are_refused_by_name(tmp_path, backend, settings, name):
    quantise(tmp_path, w8a8, settings)
    with pytest.raises(ValueError, match=f"weights quantised as '{name}' are not read"):
        load_model(str(tmp_path), backend=backend)


def test_a_scale_without_its_format_in_the_configuration_is_refused(tmp_path):
    quantise(tmp_path, fp8, None)
    for backend in ("decoder", "transformers"):
        with pytest.raises(ValueError, match=r"floats of 16 to 64 bits, got .* config.json must say how"):
            load_model(str(tmp_path), backend=backend)


@pytest.mark.parametrize(
    ("weight", "scales", "message"),
    [
        (torch.ones(3, 2), torch.ones(1, 1), r"'w_scale_inv' must belong to a matrix at 8 bits, got torch.float32"),
        (torch.ones(2, dtype=torch.int8), torch.ones(1), r"'w_scale_inv' must belong to a matrix at 8 bits"),
        (LOW, torch.zeros(1, 1), r"'w_scale_inv' must be finite floats above 0"),
        (LOW, -torch.ones(1, 1), r"'w_scale_inv' must be finite floats above 0"),
        (LOW, torch.full((1, 1), torch.nan), r"'w_scale_inv' must be finite floats above 0"),
        (LOW, torch.ones(1, 1, dtype=torch.int8), r"'w_scale_inv' must be finite floats above 0"),
    ],
)
def test_scales_are_finite_floats_above_0_of_a_matrix_at_eight_bits(weight, scales, message):
    weights = Dequantised({"w": weight, "w_scale_inv": scales}, "_scale_inv", (2, 2))
    with pytest.raises(ValueError, match=message):
        weights["w"]
    with pytest.raises(ValueError, match=message):
        weights.check_scales()


@pytest.mark.parametrize("backend", ["decoder", "transformers"])
def test_a_scale_of_a_plain_weight_is_refused_in_every_backend(tmp_path, backend):
    def plain(weight):
        return {"weight": weight, "weight_scale_inv": torch.full((1, 1), 7.0)}, weight

    quantise(tmp_path, plain, FP8)
    with pytest.raises(ValueError, match="must belong to a matrix at 8 bits"):
        load_model(str(tmp_path), backend=backend)
