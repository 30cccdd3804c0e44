"""A GGUF key that holds another kind of value than the format says is refused by name."""

import pytest

from speculative.models.gguf_conversion import convert_gguf
from speculative.models.settings import ModelSettings
from tests.support.gguf_files import GgufModel


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
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_key(tmp_path, key, value):
    path = GgufModel(metadata={key: value}).write(tmp_path / "m.gguf")
    with pytest.raises(ValueError, match=rf"m\.gguf: {key} must be"):
        convert_gguf(path, ModelSettings(cache=tmp_path / "cache"))
