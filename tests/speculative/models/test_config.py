import json
from dataclasses import replace

import pytest
import torch

from speculative.models.config import DecoderConfig, inverse_frequencies
from tests.support.tiny_models import save_tiny

RAW = {
    "model_type": "llama",
    "vocab_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_size": 16,
    "intermediate_size": 24,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 96,
}


def test_sizes_that_a_file_leaves_out_follow_from_the_others():
    config = DecoderConfig.from_dict(RAW)
    assert (config.n_kv_heads, config.head_dim, config.rope_theta, config.tied_head) == (4, 4, 10_000.0, False)


@pytest.mark.parametrize("family", ["gpt2", "gemma3", "mixtral", None])
def test_other_families_are_refused(family):
    with pytest.raises(ValueError, match=f"model_type must be one of .*, got {family!r}"):
        DecoderConfig.from_dict(RAW | {"model_type": family})


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"model_type": "mistral", "sliding_window": 32}, True),
        ({"model_type": "mistral", "sliding_window": 96}, False),
        ({"model_type": "mistral", "sliding_window": None}, False),
        ({"model_type": "mistral", "max_position_embeddings": 8192}, True),  # transformers then takes 4096
        ({"model_type": "qwen2", "sliding_window": 32, "use_sliding_window": True}, True),
        ({"model_type": "qwen2", "sliding_window": 32, "use_sliding_window": False}, False),
        ({"model_type": "qwen3", "sliding_window": 32}, False),
    ],
)
def test_a_window_shorter_than_the_context_is_refused(changes, refused):
    if refused:
        with pytest.raises(
            ValueError, match="computes full attention only; load the model with backend='transformers'"
        ):
            DecoderConfig.from_dict(RAW | changes)
    else:
        assert DecoderConfig.from_dict(RAW | changes).max_positions == 96


@pytest.mark.parametrize("key", ["vocab_size", "hidden_size", "rms_norm_eps"])
def test_a_missing_size_is_named(key):
    with pytest.raises(ValueError, match=f"here: {key} is missing"):
        DecoderConfig.from_dict({k: v for k, v in RAW.items() if k != key}, source="here")


def test_another_activation_is_refused():
    with pytest.raises(ValueError, match="hidden_act must be 'silu', got 'gelu'"):
        DecoderConfig.from_dict(RAW | {"hidden_act": "gelu"})


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"holds no config.json"):
        DecoderConfig.from_folder(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "lla')
    with pytest.raises(ValueError, match=r"config.json is not valid JSON"):
        DecoderConfig.from_folder(tmp_path)


@pytest.mark.parametrize("kind", ["llama", "llama_rope_llama3", "llama_rope_linear"])
def test_rotation_speeds_equal_transformers(kind, tmp_path):
    model = save_tiny(kind, tmp_path)
    config = DecoderConfig.from_folder(tmp_path)
    torch.testing.assert_close(inverse_frequencies(config), model.model.rotary_emb.inv_freq)


def test_files_of_transformers_4_mean_the_same(tmp_path):
    save_tiny("llama_rope_llama3", tmp_path)
    config = DecoderConfig.from_folder(tmp_path)
    raw = json.loads((tmp_path / "config.json").read_text())
    scaling = raw.pop("rope_parameters")
    raw |= {"rope_theta": scaling.pop("rope_theta"), "rope_scaling": scaling}
    old = DecoderConfig.from_dict(raw)
    assert old.rope_theta == config.rope_theta
    torch.testing.assert_close(inverse_frequencies(old), inverse_frequencies(config))


def test_an_unknown_rope_scaling_is_refused():
    config = replace(DecoderConfig.from_dict(RAW), rope_scaling={"rope_type": "yarn", "factor": 4.0})
    with pytest.raises(ValueError, match=r"rope scaling must be default, linear, llama3 or .*, got 'yarn'"):
        inverse_frequencies(config)
