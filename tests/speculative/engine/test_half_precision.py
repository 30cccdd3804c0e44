"""Sums and logits in half precision: nothing overflows, and every part computes them alike."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.models.loading import load_model
from speculative.models.settings import ModelSettings
from speculative.protocols.request import Request
from speculative.protocols.selector import Selector
from speculative.protocols.token_batch import TokenBatch
from tests.support.tiny_models import Arm, save_tiny


class Keeping(Selector):
    """Keeps the context of the last request."""

    def start(self, query):
        self.context = query.hidden_mean

    def select(self, rounds):
        return [0 for _ in rounds]


@pytest.mark.parametrize("backend", ["decoder", "transformers"])
def test_a_context_of_a_long_prompt_is_finite_in_float16(tmp_path, backend):
    save_tiny("llama", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["model.norm.weight"] = torch.full((16,), 3000.0)
    weights["lm_head.weight"] = weights["lm_head.weight"] / 3000
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"].abs() + 1
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    model = load_model(str(tmp_path), ModelSettings(dtype=torch.float16), backend=backend)
    prompt = tuple(range(1, 24)) * 3
    hidden = model.forward(TokenBatch(torch.tensor(prompt), [len(prompt)]), model.new_cache(1)).hidden
    assert not hidden.sum(0).isfinite().all()  # what a sum in float16 would give
    selector = Keeping()
    generate(Engine(model, [Arm(NoDraft(), 0)], selector), [Request("a", prompt, 2)])
    torch.testing.assert_close(selector.context, hidden.float().mean(0), atol=5.0, rtol=1e-3)


@pytest.mark.parametrize("kind", ["llama", "llama_bias", "qwen2"])
def test_decoder_and_adapter_give_float32_logits_of_half_precision_weights(tmp_path, kind):
    save_tiny(kind, tmp_path)
    tokens = torch.arange(12)
    settings = ModelSettings(dtype=torch.bfloat16)
    for backend in ("decoder", "transformers"):
        model = load_model(str(tmp_path), settings, backend=backend)
        output = model.forward(TokenBatch(tokens, [12]), model.new_cache(1))
        weight = load_file(tmp_path / "model.safetensors")["lm_head.weight"].bfloat16().float()
        assert output.logits.dtype == torch.float32
        torch.testing.assert_close(output.logits, output.hidden.float() @ weight.T, atol=1e-4, rtol=0.0)
