"""Sixty families behind the adapter write the text that their own full passes give, drafted where they roll back."""

import pytest
import torch
import transformers

from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.models.adapters.transformers_lm import TransformersLM
from speculative.protocols.request import Request
from tests.support.tiny_models import N_VOCAB, Arm, expected_text

FAMILIES = [
    "afmoe",
    "apertus",
    "arcee",
    "biogpt",
    "bitnet",
    "bloom",
    "cohere",
    "cohere2",
    "cwm",
    "diffllama",
    "doge",
    "ernie4_5",
    "ernie4_5_moe",
    "exaone4",
    "falcon_mamba",
    "flex_olmo",
    "gemma",
    "gemma2",
    "gemma3_text",
    "glm",
    "glm4",
    "glm4_moe",
    "gpt-sw3",
    "gpt2",
    "gpt_bigcode",
    "gpt_neox",
    "gpt_oss",
    "granite",
    "granitemoe",
    "granitemoeshared",
    "helium",
    "hunyuan_v1_dense",
    "hunyuan_v1_moe",
    "jetmoe",
    "lfm2",
    "llama",
    "llama4_text",
    "mamba",
    "minimax",
    "ministral",
    "mistral",
    "mixtral",
    "modernbert-decoder",
    "mpt",
    "nemotron",
    "olmo",
    "olmo2",
    "olmo3",
    "olmoe",
    "opt",
    "persimmon",
    "phi",
    "phi3",
    "phimoe",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "seed_oss",
    "smollm3",
    "stablelm",
    "starcoder2",
    "vaultgemma",
    "xglm",
]
_SIZES = {
    "vocab_size": N_VOCAB,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 96,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "num_local_experts": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "n_routed_experts": 4,
    "moe_intermediate_size": 8,
}
PROMPT, N_NEW = (3, 5, 8, 1, 3, 5, 8), 10


def random_model(family):
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(family, **_SIZES))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "A_log" not in name:  # a recurrence with random rates explodes
                parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    return model.eval().float()


def test_there_are_sixty_families():
    assert len(set(FAMILIES)) >= 60


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_behind_the_adapter_writes_its_own_text(family):
    model = random_model(family)
    lm = TransformersLM(model)
    arm = Arm(PromptLookup(2, min_ngram=1), 3) if lm.can_roll_back else Arm(NoDraft(), 0)
    [found] = generate(Engine(lm, [arm]), [Request("a", PROMPT, N_NEW)])
    assert not found.stats.faults
    assert found.token_ids == tuple(expected_text(model, PROMPT, N_NEW, ()))
