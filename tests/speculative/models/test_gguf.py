"""All that a GGUF file says is honoured, or the file is refused by name of what is not."""

import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from speculative.models import content_digest
from speculative.models.gguf_conversion import convert_gguf
from speculative.models.loading import load_decoder, load_model
from speculative.models.rope import inverse_frequencies_of
from speculative.models.settings import ModelSettings
from speculative.models.sources import resolve_model
from speculative.models.tokenizer import load_tokenizer
from speculative.protocols.token_batch import TokenBatch
from speculative.targets.eos_ids import read_eos_ids
from tests.support.gguf_files import END, N_HEADS, THINK, TOKENS, TURN, GgufModel

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 64}
LINEAR = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}


def logits_of(model, n=150):
    tokens = torch.randint(len(TOKENS), (n,), generator=torch.Generator().manual_seed(0))
    return model.forward(TokenBatch(tokens, [n]), model.new_cache(1)).logits


@pytest.fixture
def settings(tmp_path):
    def of(**options):
        return ModelSettings(cache=tmp_path / "cache", **options)

    return of


def llama3_factors():
    plain, scaled = (inverse_frequencies_of(16, 10_000.0, scaling) for scaling in (None, LLAMA3))
    return (plain / scaled).numpy()


@pytest.mark.parametrize(
    "model",
    [
        GgufModel(),
        GgufModel({"q_proj": "F16", "up_proj": "BF16", "down_proj": "Q5_0", "v_proj": "Q8_0", "o_proj": "Q4_0"}),
        GgufModel({"q_proj": "Q4_K", "k_proj": "Q6_K", "down_proj": "Q6_K", "gate_proj": "Q4_K"}, width=256),
        GgufModel(tied=True),
        GgufModel(architecture="qwen2", metadata={"qwen2.rope.dimension_count": None}),
        GgufModel(
            architecture="qwen3", metadata={"qwen3.attention.key_length": 16, "qwen3.attention.value_length": 16}
        ),
        GgufModel(extra={"rope_freqs.weight": llama3_factors()}, config={"rope_parameters": LLAMA3}),
        GgufModel(
            metadata={"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0},
            config={"rope_parameters": LINEAR},
        ),
        GgufModel(metadata={"llama.rope.scaling.factor": 4.0}, config={"rope_parameters": LINEAR}),
        GgufModel(metadata={"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4.0}),
        GgufModel(
            metadata={
                "llama.rope.scaling.type": "yarn",
                "llama.rope.scaling.factor": 4.0,
                "llama.rope.scaling.original_context_length": 64,
            },
            config={"rope_parameters": YARN},
        ),
        GgufModel(metadata={"llama.attention.head_count": [4, 4], "llama.expert_count": 0}),
    ],
    ids=[
        "llama",
        "mixed",
        "k-quants",
        "tied",
        "qwen2",
        "qwen3",
        "llama3-rope",
        "linear",
        "no type",
        "none",
        "yarn",
        "lists",
    ],
)
def test_a_gguf_file_is_the_checkpoint_that_it_was_made_of(tmp_path, settings, model):
    expected = logits_of(load_model(str(model.checkpoint(tmp_path / "checkpoint"))))
    found = load_model(str(model.write(tmp_path / "m.gguf")), settings())
    torch.testing.assert_close(logits_of(found), expected, atol=2e-4, rtol=0.0)


@pytest.mark.parametrize("named", [0, 1, 2])
def test_all_parts_of_a_split_file_are_read_whichever_is_named(tmp_path, settings, named):
    model = GgufModel()
    parts = model.write_parts(tmp_path, 3)
    expected = logits_of(load_decoder(str(model.checkpoint(tmp_path / "checkpoint"))))
    torch.testing.assert_close(logits_of(load_decoder(str(parts[named]), settings())), expected, atol=2e-4, rtol=0.0)


def test_parts_that_do_not_belong_together_are_refused(tmp_path, settings):
    parts = GgufModel().write_parts(tmp_path)
    content = parts[1].read_bytes()
    parts[1].unlink()
    with pytest.raises(ValueError, match=r"part of m-00001-of-00002.gguf: .*m-00002-of-00002.gguf does not exist"):
        convert_gguf(parts[0], settings())
    parts[1].write_bytes(parts[0].read_bytes())
    with pytest.raises(ValueError, match=r"m-00002-of-00002.gguf says that it is part 0 of 2"):
        convert_gguf(parts[0], settings())
    parts[1].write_bytes(content)
    parts[0].rename(tmp_path / "alone.gguf")
    with pytest.raises(ValueError, match=r"alone.gguf says that it is part 0 of 2 .*, not 0 of 1; parts must be named"):
        convert_gguf(tmp_path / "alone.gguf", settings())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (GgufModel(without=("blk.1.ffn_down.weight",)), "lacks the tensor 'model.layers.1.mlp.down_proj.weight'"),
        (GgufModel(without=("blk.0.attn_norm.weight",)), "lacks the tensor 'model.layers.0.input_layernorm.weight'"),
        (GgufModel(without=("token_embd.weight",)), "lacks the tensor 'token_embd.weight'"),
        (GgufModel(architecture="qwen2", without=("blk.0.attn_q.bias",)), "lacks the tensor .*q_proj.bias"),
        (GgufModel(extra={"blk.0.attn_gate.weight": np.ones((2, 2), np.float32)}), "'blk.0.attn_gate.weight', which"),
        (GgufModel(extra={"rope_factors_long.weight": np.ones(8, np.float32)}), "'rope_factors_long.weight', which"),
        (
            GgufModel(extra={"rope_freqs.weight": np.ones(3, np.float32)}),
            "rope_freqs.weight must hold 8 numbers, got 3",
        ),
        (GgufModel(metadata={"llama.block_count": 3}), "lacks the tensor 'model.layers.2"),
        (GgufModel(metadata={"llama.block_count": None}), "lacks llama.block_count"),
        (GgufModel(metadata={"llama.context_length": 2**31 - 1}), "max_position_embeddings must be a whole number in"),
        (GgufModel(metadata={"llama.vocab_size": 9}), "token_embd.weight must have a row for each token"),
        (GgufModel(metadata={"llama.rope.dimension_count": 8}), "rope.dimension_count must be the head size 16, got 8"),
        (GgufModel(metadata={"llama.attention.value_length": 8}), "value_length must be the head size 16, got 8"),
        (
            GgufModel(metadata={"llama.attention.head_count_kv": [2, 1]}),
            "head_count_kv must be the same in every layer",
        ),
        (GgufModel(metadata={"llama.rope.scaling.type": "longrope"}), "rope.scaling.type 'longrope' .* not honoured"),
        (GgufModel(metadata={"llama.rope.scaling.attn_factor": 2.0}), "llama.rope.scaling.attn_factor = 2.0 is not"),
        (GgufModel(metadata={"llama.expert_count": 8}), "llama.expert_count = 8 is not honoured"),
        (GgufModel(metadata={"llama.attention.sliding_window": 32}), "attention.sliding_window 32 is shorter"),
        (GgufModel(metadata={"general.type": "adapter"}), "general.type must be 'model', got 'adapter'"),
        (GgufModel(metadata={"tokenizer.ggml.pre": "unheard-of"}), "tokenizer.ggml.pre = 'unheard-of' is not honoured"),
        (GgufModel(metadata={"tokenizer.ggml.tokens": None}), "holds no tokenizer"),
        (GgufModel(metadata={"tokenizer.ggml.eos_token_id": 9999}), r"eos_token_id must be in \[0, 260\), got 9999"),
        (GgufModel(metadata={"tokenizer.ggml.token_type": [1, 2]}), "token_type must name 260 kinds"),
        (
            GgufModel(metadata={"tokenizer.ggml.tokens": [*TOKENS[:-1], "th"]}),
            "1 of its 260 tokens stand there twice",
        ),
        (GgufModel(architecture="unheard-of"), "cannot be read by transformers"),
    ],
)
def test_what_would_not_be_honoured_is_refused_by_name(tmp_path, settings, model, message):
    with pytest.raises(ValueError, match=message):
        convert_gguf(model.write(tmp_path / "m.gguf"), settings())
    assert list((tmp_path / "cache" / "models").glob("*")) == []


def test_token_kinds_ends_of_text_and_the_first_token_are_the_files(tmp_path, settings):
    said = {
        "tokenizer.ggml.eot_token_id": TURN,
        "tokenizer.ggml.bos_token_id": TURN,
        "tokenizer.ggml.eos_token_id": END,
    }
    for adds in (True, False):
        model = GgufModel(metadata=said | {"tokenizer.ggml.add_bos_token": adds})
        folder = convert_gguf(model.write(tmp_path / f"{adds}.gguf"), settings())
        tokenizer = load_tokenizer(folder)
        first = [TURN] if adds else []
        assert tokenizer("<think>th<|end|>")["input_ids"] == [*first, THINK, TOKENS.index("th"), END]
        assert tokenizer.decode([THINK, END], skip_special_tokens=True) == "<think>"
        assert read_eos_ids(folder, tokenizer) == (END, TURN)


def test_control_tokens_of_any_spelling_are_themselves_and_no_token_is_added(tmp_path, settings):
    tokens = [*TOKENS[:-2], "<\uff5cUser\u2581x\uff5c>", "<| think |>"]
    folder = convert_gguf(GgufModel(metadata={"tokenizer.ggml.tokens": tokens}).write(tmp_path / "m.gguf"), settings())
    tokenizer = load_tokenizer(folder)
    assert tokenizer("th<\uff5cUser\u2581x\uff5c><| think |>")["input_ids"] == [TOKENS.index("th"), TURN, THINK]
    assert tokenizer.decode([TURN, THINK], skip_special_tokens=True) == "<| think |>"
    assert len(tokenizer("<|endoftext|>")["input_ids"]) == len("<|endoftext|>")
    assert max(tokenizer.get_vocab().values()) == len(tokens) - 1


@pytest.mark.parametrize("adds", [None, True, False])
def test_a_space_stands_before_a_text_unless_the_file_says_no(tmp_path, settings, adds):
    pieces = ["\u2581", "t", "h", "e", "th", "the", "\u2581t", "\u2581the"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(249)), *pieces]
    said = {
        "model": "llama",
        "tokens": tokens,
        "scores": [0.0] * 252 + [-float(i) for i in range(8)],
        "token_type": [2, 3, 3, *[6] * 249, *[1] * 8],
        "merges": None,
        "eos_token_id": 2,
        "add_space_prefix": adds,
    }
    model = GgufModel(metadata={f"tokenizer.ggml.{key}": value for key, value in said.items()})
    tokenizer = load_tokenizer(convert_gguf(model.write(tmp_path / "m.gguf"), settings()))
    assert tokenizer.tokenize("the the") == ["the" if adds is False else "\u2581the", "\u2581the"]
    for text in ("the the", " the" if adds is False else "the"):
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_digits_are_cut_apart_where_the_file_says_so(tmp_path, settings):
    tokens = [*TOKENS[:-4], "12", *TOKENS[-3:]]
    for pre, expected in (("smollm", ["1", "2"]), ("gpt-2", ["12"])):
        said = {"tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": ["1 2"]}
        folder = convert_gguf(GgufModel(metadata=said).write(tmp_path / f"{pre}.gguf"), settings())
        assert load_tokenizer(folder).tokenize("12") == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_are_kept_in_the_dtype_asked_for_and_converted_once(tmp_path, settings, dtype):
    file = GgufModel().write(tmp_path / "m.gguf")
    folder = convert_gguf(file, settings(dtype=dtype))
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {dtype}
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    os.utime(file, (0, 0))  # the content counts, not the time
    assert resolve_model(str(file), settings(dtype=dtype)) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == stamp


def test_another_content_or_loader_is_another_conversion(tmp_path, settings, monkeypatch):
    file = GgufModel().write(tmp_path / "m.gguf")
    first = convert_gguf(file, settings())
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    second = convert_gguf(file, settings())
    monkeypatch.setattr(content_digest, "LOADER_VERSION", 0)
    assert len({first, second, convert_gguf(file, settings())}) == 3


def test_a_conversion_that_was_killed_leaves_nothing_after_the_next_one(tmp_path, settings):
    file = GgufModel().write(tmp_path / "m.gguf")
    code = """
import os, sys
from pathlib import Path
from speculative.models import gguf_conversion
from speculative.models.settings import ModelSettings
gguf_conversion.save_gguf_tokenizer = lambda file, folder: os._exit(9)
gguf_conversion.convert_gguf(Path(sys.argv[1]), ModelSettings(cache=Path(sys.argv[2])))
"""
    killed = subprocess.run([sys.executable, "-c", code, str(file), str(tmp_path / "cache")], check=False, timeout=120)
    assert killed.returncode == 9
    [left] = (tmp_path / "cache" / "models").iterdir()
    assert left.name.endswith(".partial")
    other = GgufModel(tied=True).write(tmp_path / "other.gguf")
    folder = convert_gguf(other, settings())
    assert list((tmp_path / "cache" / "models").iterdir()) == [folder]


def test_a_conversion_says_what_it_does(tmp_path, settings, caplog):
    with caplog.at_level("INFO", "speculative"):
        convert_gguf(GgufModel().write(tmp_path / "m.gguf"), settings(weights="int4"))
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith(f"converting {tmp_path / 'm.gguf'} to int4-float32")
    assert said[-1] == "15 of 15 matrices in blocks written"


def damaged(content):
    """Cuts, changed bytes and values that ask for more than there is."""
    rng = np.random.default_rng(0)
    for end in (0, 3, 4, 20, 23, 24, 100, len(content) // 2, len(content) - 1):
        yield content[:end]
    for _ in range(40):
        changed = bytearray(content)
        for at in rng.integers(0, 3000, 3):
            changed[at] = rng.integers(0, 256)
        yield bytes(changed)
    for at in (8, 16):  # counts of tensors and of keys
        yield content[:at] + struct.pack("<Q", 2**62) + content[at + 8 :]
    yield b"GGUF" + struct.pack("<I", 1) + content[8:]


def test_a_damaged_file_is_one_error_or_the_same_model(tmp_path, settings):
    file = GgufModel().write(tmp_path / "m.gguf")
    n_refused = 0
    for content in list(damaged(file.read_bytes())):
        file.write_bytes(content)
        try:
            convert_gguf(file, settings())
        except ValueError:
            n_refused += 1
    assert n_refused > 20


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, settings):
    os.mkfifo(tmp_path / "m.gguf")
    with pytest.raises(ValueError, match=r"m.gguf must be a regular file"):
        resolve_model(str(tmp_path / "m.gguf"), settings())


def test_a_family_that_only_transformers_computes_is_read_whole_or_refused(tmp_path, settings):
    said = {"gpt2.context_length": 32}
    model = GgufModel(architecture="gpt2", metadata=said)
    with pytest.raises(ValueError, match=r"m.gguf"):
        convert_gguf(model.write(tmp_path / "m.gguf"), settings())


def test_parts_of_a_family_that_only_transformers_computes_are_refused_by_name(tmp_path, settings):
    parts = GgufModel(architecture="gpt2").write_parts(tmp_path)
    with pytest.raises(ValueError, match=r"m-00001-of-00002.gguf: a split file of this architecture is not read; join"):
        convert_gguf(parts[1], settings())


def test_a_type_of_tensor_that_is_not_known_is_named(tmp_path, settings):
    file = GgufModel().write(tmp_path / "m.gguf")
    content = bytearray(file.read_bytes())
    at = content.index(b"token_embd.weight") + len("token_embd.weight") + 4 + 2 * 8  # after its dimensions
    content[at : at + 4] = struct.pack("<I", 99)
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"m.gguf: the tensor 'token_embd.weight' is of the unknown type 99"):
        convert_gguf(file, settings())


def test_the_configuration_says_what_the_file_says(tmp_path, settings):
    folder = convert_gguf(GgufModel().write(tmp_path / "m.gguf"), settings())
    config = json.loads((folder / "config.json").read_text())
    assert (config["num_attention_heads"], config["vocab_size"], config["eos_token_id"]) == (N_HEADS, 260, END)
