"""Models stored in unusual ways write, drafted where they roll back, the text of the same weights in transformers."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.models.loading import load_model
from speculative.models.rope import inverse_frequencies_of
from speculative.models.settings import ModelSettings
from speculative.protocols.request import Request
from tests.support.gguf_files import GgufModel
from tests.support.tiny_models import Arm, expected_text, save_tiny

PROMPTS = ((3, 5, 8, 1, 3, 5), (2, 2, 9), (7, 1, 4, 7, 1, 4, 7))
N_NEW = 20
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def fp8(folder):
    """Keep each projection at 8 bits; transformers reads the same folder."""
    save_tiny("llama", folder, hidden_size=32, intermediate_size=48)
    weights = load_file(folder / "model.safetensors")
    for name in [name for name in weights if "_proj" in name]:
        scale = weights[name].abs().max() / 448
        weights[name] = (weights[name] / scale).to(torch.float8_e4m3fn)
        weights[f"{name}_scale_inv"] = scale.reshape(1, 1)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    raw = json.loads((folder / "config.json").read_text())
    said = {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}
    (folder / "config.json").write_text(json.dumps(raw | {"quantization_config": said}))
    return folder, folder


def split_gguf(folder):
    model = GgufModel()
    folder.mkdir()
    return model.write_parts(folder, 3)[1], model.checkpoint(folder / "checkpoint")


def llama3_rope_gguf(folder):
    plain, scaled = (inverse_frequencies_of(16, 10_000.0, scaling) for scaling in (None, LLAMA3))
    factors = {"rope_freqs.weight": (plain / scaled).numpy()}
    model = GgufModel(extra=factors, config={"rope_parameters": LLAMA3})
    folder.mkdir()
    return model.write(folder / "m.gguf"), model.checkpoint(folder / "checkpoint")


def resized(folder):
    """Give a tied model 13 tokens more, as a user does who adds some."""
    model = save_tiny("llama", folder, tie_word_embeddings=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.resize_token_embeddings(model.config.vocab_size + 13)
    model.save_pretrained(folder)
    return folder, folder


@pytest.mark.parametrize("make", [fp8, split_gguf, llama3_rope_gguf, resized])
@pytest.mark.parametrize("backend", ["decoder", "transformers"])
def test_drafted_text_is_transformers_greedy_text(tmp_path, make, backend):
    stored, checkpoint = make(tmp_path / "model")
    theirs = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    ours = load_model(str(stored), ModelSettings(cache=tmp_path / "cache"), backend=backend)
    assert ours.can_roll_back or (backend == "transformers" and make is llama3_rope_gguf)
    engine = Engine(ours, [Arm(PromptLookup(2, min_ngram=1), 4) if ours.can_roll_back else Arm(NoDraft(), 0)])
    for i, prompt in enumerate(PROMPTS):
        [found] = generate(engine, [Request(f"{i}", prompt, N_NEW)])
        assert found.token_ids == tuple(expected_text(theirs, prompt, N_NEW, ()))
