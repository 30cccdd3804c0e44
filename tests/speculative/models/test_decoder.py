import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from speculative.measuring.cost_cache import profile_key
from speculative.models.config import DecoderConfig
from speculative.models.decoder import Decoder
from speculative.models.kernels.plan import KernelPlan
from speculative.models.linear import can_pack
from speculative.models.loading import load_decoder
from speculative.models.settings import ModelSettings
from speculative.models.weight_files import read_weights
from speculative.protocols.token_batch import TokenBatch
from tests.support.tiny_models import KINDS, N_VOCAB, save_tiny

TOLERANCE = {"atol": 1e-4, "rtol": 0.0}
every_kind = pytest.mark.parametrize("kind", KINDS)


def tokens_of(length, seed=0):
    return torch.randint(N_VOCAB, (length,), generator=torch.Generator().manual_seed(seed))


def logits_of(model, tokens):
    """Transformers' logits of every position of one text."""
    with torch.inference_mode():
        return model(tokens[None], use_cache=False).logits[0]


@every_kind
def test_prefill_logits_equal_transformers(tiny, kind):
    model, tokens = tiny(kind), tokens_of(40)
    output = model.decoder.forward(TokenBatch(tokens, [40]), model.decoder.new_cache(1))
    torch.testing.assert_close(output.logits, logits_of(model.reference, tokens), **TOLERANCE)


@every_kind
def test_stepwise_logits_equal_transformers(tiny, kind):
    model, tokens = tiny(kind), tokens_of(20, 1)
    cache = model.decoder.new_cache(1)
    pieces = [model.decoder.forward(TokenBatch(tokens[:7], [7]), cache).logits]
    for token in tokens[7:]:
        pieces.append(model.decoder.forward(TokenBatch(token[None], [1]), cache).logits)
    torch.testing.assert_close(torch.cat(pieces), logits_of(model.reference, tokens), **TOLERANCE)


@every_kind
def test_ragged_batch_logits_equal_transformers(tiny, kind):
    model = tiny(kind)
    texts = [tokens_of(30, seed) for seed in range(4)]
    cache = model.decoder.new_cache(4, capacity=16)  # grows on the way
    begins = [1, 9, 4, 12]
    for row, (text, begin) in enumerate(zip(texts, begins, strict=True)):
        model.decoder.forward(TokenBatch(text[:begin], [begin], row), cache)
    for counts in ([3, 1, 5, 2], [1, 1, 1, 1], [2, 2, 2, 2], [1, 4, 1, 8], [6, 1, 3, 1]):
        ends = [begin + count for begin, count in zip(begins, counts, strict=True)]
        new = [text[begin:end] for text, begin, end in zip(texts, begins, ends, strict=True)]
        output = model.decoder.forward(TokenBatch(torch.cat(new), counts), cache)
        whole = [logits_of(model.reference, text)[b:e] for text, b, e in zip(texts, begins, ends, strict=True)]
        torch.testing.assert_close(output.logits, torch.cat(whole), **TOLERANCE)
        begins = ends
    assert cache.lengths == begins


def test_a_batch_may_begin_at_any_row(tiny):
    model, texts = tiny("qwen3"), [tokens_of(9, 5), tokens_of(4, 6)]
    cache = model.decoder.new_cache(4)
    output = model.decoder.forward(TokenBatch(torch.cat(texts), [9, 4], 2), cache)
    expected = torch.cat([logits_of(model.reference, text) for text in texts])
    torch.testing.assert_close(output.logits, expected, **TOLERANCE)
    assert cache.lengths == [0, 0, 9, 4]


def test_logits_come_for_the_chosen_rows_only(tiny):
    decoder, tokens = tiny("llama").decoder, tokens_of(12)
    whole = decoder.forward(TokenBatch(tokens, [12]), decoder.new_cache(1)).logits
    some = decoder.forward(TokenBatch(tokens, [12]), decoder.new_cache(1), [11, 3]).logits
    torch.testing.assert_close(some, whole[[11, 3]], atol=1e-5, rtol=0.0)


def test_hidden_states_are_transformers_last_ones(tiny):
    model, tokens = tiny("llama_tied"), tokens_of(12)
    hidden = model.decoder.forward(TokenBatch(tokens, [12]), model.decoder.new_cache(1), [11]).hidden
    with torch.inference_mode():
        last = model.reference.model(tokens[None], use_cache=False).last_hidden_state[0]
    torch.testing.assert_close(hidden, last, **TOLERANCE)


def test_a_prefix_beyond_the_context_is_refused_and_changes_nothing(tiny):
    decoder = tiny("llama").decoder
    cache = decoder.new_cache(1)
    decoder.forward(TokenBatch(tokens_of(90), [90]), cache)
    with pytest.raises(ValueError, match="a prefix of 97 tokens exceeds the model's context of 96 tokens"):
        decoder.forward(TokenBatch(tokens_of(7), [7]), cache)
    assert cache.lengths == [90]


def test_the_last_position_of_the_context_can_be_used(tiny):
    model, tokens = tiny("llama"), tokens_of(96)
    output = model.decoder.forward(TokenBatch(tokens, [96]), model.decoder.new_cache(1))
    torch.testing.assert_close(output.logits, logits_of(model.reference, tokens), **TOLERANCE)


def test_a_half_precision_decoder_stays_near_its_float32_self(tiny):
    model, tokens = tiny("llama"), tokens_of(20)
    half = load_decoder(str(model.folder), ModelSettings(dtype=torch.bfloat16))
    output = half.forward(TokenBatch(tokens, [20]), half.new_cache(1))
    assert half.new_cache(1).keys.dtype == torch.bfloat16
    exact = logits_of(model.reference, tokens)
    assert (output.logits.float() - exact).abs().mean() < 0.1 * exact.abs().mean()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["llama", "llama_tied"])
def test_logits_are_float32_products_whatever_the_weights_are(tiny, kind, dtype):
    model, tokens = tiny(kind), tokens_of(20)
    half = load_decoder(str(model.folder), ModelSettings(dtype=dtype))
    weights = read_weights(model.folder)
    weight = weights["lm_head.weight" if "lm_head.weight" in weights else "model.embed_tokens.weight"]
    for rows in (None, [3, 19]):
        output = half.forward(TokenBatch(tokens, [20]), half.new_cache(1), rows)
        assert (output.logits.dtype, output.hidden.dtype) == (torch.float32, dtype)
        expected = (output.hidden.float() @ weight.to(dtype).float().T)[slice(None) if rows is None else rows]
        torch.testing.assert_close(output.logits, expected, atol=1e-4, rtol=0.0)
    heads = {torch.float16: "Float32Linear", torch.bfloat16: "RefinedLinear"}
    head = heads[dtype] if can_pack(weight.to(dtype)) else "Float32Linear"
    assert half.arithmetic == f"Linear, {head}: {half.plan.summary()}"


def test_a_plan_is_part_of_what_a_cost_depends_on_and_not_of_which_model_it_is(tiny):
    folder = str(tiny("llama").folder)
    plans = KernelPlan(), KernelPlan("plain")
    safe, plain = (load_decoder(folder, ModelSettings(kernels=plan)) for plan in plans)
    assert safe.fingerprint() == plain.fingerprint()
    assert safe.arithmetic != plain.arithmetic
    assert profile_key("model", safe) != profile_key("model", plain)


def test_a_half_precision_checkpoint_loads_as_float32(tiny, tmp_path):
    model = tiny("llama")
    weights = {name: tensor.bfloat16() for name, tensor in read_weights(model.folder).items()}
    config = DecoderConfig.from_folder(model.folder)
    decoder = Decoder(config, weights)
    assert decoder.forward(TokenBatch(tokens_of(3), [3]), decoder.new_cache(1)).logits.dtype == torch.float32


def test_an_incomplete_checkpoint_is_refused_by_the_missing_tensor(tmp_path):
    save_tiny("llama", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for name in ("lm_head.weight", "model.layers.1.mlp.up_proj.weight", "model.embed_tokens.weight"):
        save_file({k: v for k, v in weights.items() if k != name}, tmp_path / "model.safetensors")
        with pytest.raises(ValueError, match=name.removeprefix("model.")) as raised:
            load_decoder(str(tmp_path))
        assert str(tmp_path) in str(raised.value)


def test_a_tied_head_is_the_embedding_unless_the_file_holds_another_as_in_transformers(tmp_path):
    model = save_tiny("llama_tied", tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    assert "lm_head.weight" not in weights
    decoder = load_decoder(str(tmp_path))
    output = decoder.forward(TokenBatch(tokens_of(5), [5]), decoder.new_cache(1))
    torch.testing.assert_close(output.logits, logits_of(model, tokens_of(5)), **TOLERANCE)
    head = torch.randn(N_VOCAB, 16, generator=torch.Generator().manual_seed(3))
    save_file(weights | {"lm_head.weight": head}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.warns(UserWarning, match="lm_head that differs from the embedding; the lm_head is used"):
        decoder = load_decoder(str(tmp_path))
    output = decoder.forward(TokenBatch(tokens_of(5), [5]), decoder.new_cache(1))
    reference = AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(output.logits, logits_of(reference, tokens_of(5)), **TOLERANCE)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@every_kind
def test_on_cuda_logits_equal_transformers_on_the_cpu(tiny, kind):
    model = tiny(kind)
    decoder = load_decoder(str(model.folder), ModelSettings(device="cuda"))
    texts = [tokens_of(20, 1), tokens_of(14, 2)]
    cache = decoder.new_cache(2)
    first = decoder.forward(TokenBatch(torch.cat([t[:9] for t in texts]).cuda(), [9, 9]), cache).logits
    rest = decoder.forward(TokenBatch(torch.cat([t[9:] for t in texts]).cuda(), [11, 5]), cache).logits
    found = [torch.cat([first[:9], rest[:11]]).cpu(), torch.cat([first[9:], rest[11:]]).cpu()]
    for logits, text in zip(found, texts, strict=True):
        torch.testing.assert_close(logits, logits_of(model.reference, text), atol=1e-3, rtol=0.0)


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("counts", [[1], [2], [1, 1], [2, 1], [3, 4]])
def test_filling_a_pass_up_changes_no_result_and_no_length(tiny, kind, counts):
    model = tiny(kind)
    filling = load_decoder(str(model.folder), ModelSettings(kernels=KernelPlan(min_rows=4)))
    caches = [decoder.new_cache(2, 16) for decoder in (model.decoder, filling)]
    for decoder, cache in zip((model.decoder, filling), caches, strict=True):
        decoder.forward(TokenBatch(tokens_of(9), [5, 4]), cache)
    for step in range(3):
        batch = TokenBatch(tokens_of(sum(counts), step), counts)
        plain, filled = (
            decoder.forward(batch, cache) for decoder, cache in zip((model.decoder, filling), caches, strict=True)
        )
        assert filled.logits.shape == plain.logits.shape
        assert filled.hidden.shape == plain.hidden.shape
        torch.testing.assert_close(filled.logits, plain.logits, **TOLERANCE)
        assert caches[0].lengths == caches[1].lengths


def test_a_pass_is_not_filled_beyond_the_context(tiny):
    model = tiny("llama")
    filling = load_decoder(str(model.folder), ModelSettings(kernels=KernelPlan(min_rows=4)))
    n = filling.max_positions
    tokens, cache = tokens_of(n), filling.new_cache(1)
    filling.forward(TokenBatch(tokens[:-1], [n - 1]), cache)
    last = filling.forward(TokenBatch(tokens[-1:], [1]), cache).logits
    torch.testing.assert_close(last, logits_of(model.reference, tokens)[-1:], **TOLERANCE)


@pytest.mark.parametrize("make", [lambda model: model, lambda model: model.batch_invariant(1)])
def test_a_tapped_decoder_gives_the_states_that_enter_its_layers(tiny, make):
    target, tokens = tiny("qwen3"), torch.tensor([3, 1, 4, 1, 5])
    model = make(target.decoder).tapping((0, 1))
    output = model.forward(TokenBatch(tokens, [5]), model.new_cache(1))
    with torch.inference_mode():
        expected = target.reference(tokens[None], output_hidden_states=True).hidden_states
    for found, reference in zip((*output.tapped, output.hidden), expected, strict=True):
        torch.testing.assert_close(found, reference[0], rtol=1e-4, atol=1e-4)
    assert target.decoder.forward(TokenBatch(tokens, [5]), model.new_cache(1)).tapped == ()


@pytest.mark.parametrize("layers", [(1, 0), (0, 0), (2,), (-1,)])
def test_layers_that_are_not_there_or_do_not_rise_are_refused(tiny, layers):
    with pytest.raises(ValueError, match=r"layers must rise within \[0, 2\)"):
        tiny("llama").decoder.tapping(layers)
