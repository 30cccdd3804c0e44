"""A GGUF key that holds another kind of value than the format says is refused by name."""

import pytest

from speculative.models.gguf_conversion import convert_gguf
from speculative.models.settings import ModelSettings
from speculative.models.tokenizer import load_tokenizer
from speculative.targets.eos_ids import read_eos_ids
from tests.support.gguf_files import END, TURN, GgufModel


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("llama.attention.head_count_kv", True),
        ("llama.attention.head_count_kv", 0),
        ("llama.attention.head_count_kv", 0.5),
        ("llama.attention.head_count", "x"),
        ("llama.block_count", [1.5]),
        ("llama.rope.freq_base", "x"),
        ("tokenizer.ggml.tokens", 3),
        ("tokenizer.ggml.eos_token_id", [0]),
        ("tokenizer.ggml.pre", ["x"]),
        ("tokenizer.ggml.merges", [1]),
        ("tokenizer.ggml.add_bos_token", "yes"),
        ("tokenizer.ggml.add_eos_token", 1),
        ("tokenizer.ggml.fim_pad_token_id", "x"),
        ("tokenizer.chat_template", 3),
        ("tokenizer.chat_template", ["x"]),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_key(tmp_path, key, value):
    path = GgufModel(metadata={key: value}).write(tmp_path / "m.gguf")
    with pytest.raises(ValueError, match=rf"m\.gguf: {key} must be"):
        convert_gguf(path, ModelSettings(cache=tmp_path / "cache"))


@pytest.mark.parametrize("name", ["bos", "eos"])
def test_a_token_to_add_must_be_named(tmp_path, name):
    said = {f"tokenizer.ggml.add_{name}_token": True, f"tokenizer.ggml.{name}_token_id": None}
    path = GgufModel(metadata=said).write(tmp_path / "m.gguf")
    with pytest.raises(ValueError, match=rf"add_{name}_token = true needs tokenizer\.ggml\.{name}_token_id"):
        convert_gguf(path, ModelSettings(cache=tmp_path / "cache"))


@pytest.mark.parametrize("kind", ["pad", "rep", "sep"])
def test_tokens_between_files_end_a_text_as_in_llama_cpp(tmp_path, kind):
    path = GgufModel(metadata={f"tokenizer.ggml.fim_{kind}_token_id": TURN}).write(tmp_path / "m.gguf")
    folder = convert_gguf(path, ModelSettings(cache=tmp_path / "cache"))
    assert read_eos_ids(folder, load_tokenizer(folder)) == (END, TURN)
