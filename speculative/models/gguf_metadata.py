"""Which kind of value each key of a GGUF file holds, so that no reader meets another one."""

from typing import Any

from speculative.models.gguf_file import GgufFile

_SIZES = (
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.sliding_window",
    "rope.dimension_count",
    "rope.scaling.original_context_length",
    "vocab_size",
)
_NUMBERS = (
    "attention.layer_norm_rms_epsilon",
    "rope.freq_base",
    "rope.scaling.factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
)
_TEXTS = ("ggml.model", "ggml.pre", "chat_template")
_FLAGS = ("add_bos_token", "add_eos_token", "add_sep_token", "add_space_prefix", "remove_extra_whitespaces")
_LISTS: dict[str, tuple[type, ...]] = {
    "tokens": (str,),
    "merges": (str,),
    "token_type": (int,),
    "scores": (int, float),
}
ENDS = ("eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep")
"""What a file calls the tokens after which it goes on no more."""
TOKENS = ("bos", *ENDS, "unknown", "padding")
"""What a file calls the tokens that it names by id and that are read."""


def check_sizes(file: GgufFile) -> None:
    """Reject a model of a known architecture whose sizes are no whole numbers from 1 on, or factors no numbers.

    Raises:
        ValueError: naming file, key and value.
    """
    architecture = file.metadata["general.architecture"]
    for key in (*_SIZES, *_NUMBERS):
        value = file.metadata.get(f"{architecture}.{key}")
        for number in value if isinstance(value, list) else [] if value is None else [value]:
            if key in _SIZES and (type(number) is not int or number < 1):
                raise _wrong(file, f"{architecture}.{key}", "a whole number >= 1", value)
            if type(number) not in (int, float):
                raise _wrong(file, f"{architecture}.{key}", "a number", value)


def check_tokens(file: GgufFile) -> None:
    """Reject tokenizer keys that hold values of another kind than the format says.

    Raises:
        ValueError: naming file, key and value.
    """
    for name in _TEXTS:
        value = file.metadata.get(f"tokenizer.{name}")
        if not isinstance(value, str | None):
            raise _wrong(file, f"tokenizer.{name}", "a text", value)
    for name in _FLAGS:
        flag = file.metadata.get(f"tokenizer.ggml.{name}")
        if not isinstance(flag, bool | None):
            raise _wrong(file, f"tokenizer.ggml.{name}", "true or false", flag)
    for name, kinds in _LISTS.items():
        values = file.metadata.get(f"tokenizer.ggml.{name}", [])
        if not isinstance(values, list) or not all(type(value) in kinds for value in values):
            raise _wrong(file, f"tokenizer.ggml.{name}", f"a list of {kinds[-1].__name__} values", values)
    for name in TOKENS:
        token = file.metadata.get(f"tokenizer.ggml.{name}_token_id")
        if token is not None and type(token) is not int:
            raise _wrong(file, f"tokenizer.ggml.{name}_token_id", "a whole number", token)
    for name in ("bos", "eos"):
        asked, token = (file.metadata.get(f"tokenizer.ggml.{key}") for key in (f"add_{name}_token", f"{name}_token_id"))
        if asked and token is None:
            raise ValueError(
                f"{file.path}: tokenizer.ggml.add_{name}_token = true needs tokenizer.ggml.{name}_token_id"
            )


def _wrong(file: GgufFile, key: str, rule: str, value: Any) -> ValueError:
    return ValueError(f"{file.path}: {key} must be {rule}, got {str(value)[:60]!r}")
