"""A GGUF file's tokenizer as transformers reads it, once what it says of its tokens is seen to be kept."""

import json
from pathlib import Path
from typing import Any

from speculative.models.gguf_file import GgufFile
from speculative.models.gguf_metadata import TOKENS
from speculative.models.tokenizer import load_tokenizer

_CONTROL, _USER_DEFINED = 3, 4  # token kinds that stand for themselves wherever they occur in a text
# How text is cut before tokens are merged: as GPT-2 does, and the same with every digit apart.
_LIKE_GPT2 = ("gpt-2", "gpt2", "phi-2", "olmo", "mpt", "jais", "trillion", "modern-bert", "exaone4")
_DIGITS_APART = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")

_NO_SPACE_PREFIX = ("gemma", "gemma2", "gemma3")  # transformers' tokenizers of these put no space before a text


def save_gguf_tokenizer(file: GgufFile, folder: Path) -> None:
    """Write a file's tokenizer into a checkpoint folder.

    Raises:
        ValueError: if the file holds none, or says something of it that would not be honoured.
    """
    from transformers import PreTrainedTokenizerFast

    _check(file)
    try:  # not by AutoTokenizer, which reads the whole file once more, for its configuration
        tokenizer = PreTrainedTokenizerFast.from_pretrained(str(file.path.parent), gguf_file=file.path.name)
    except Exception as error:  # transformers and tokenizers raise whatever a broken file leads them to
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{file.path}: its tokenizer cannot be read ({type(error).__name__}: {reason})") from error
    _cut_digits(file, tokenizer)
    tokenizer.save_pretrained(folder)
    _keep_kinds(file, folder / "tokenizer.json")
    _keep_beginning(file, folder / "tokenizer.json")
    _check_kinds(file, load_tokenizer(folder))


def _check(file: GgufFile) -> None:
    """Refuse what transformers would pass over."""
    said = {k.removeprefix("tokenizer.ggml."): v for k, v in file.metadata.items() if k.startswith("tokenizer.ggml.")}
    tokens = said.get("tokens")
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
        raise ValueError(f"{file.path} holds no tokenizer: tokenizer.ggml.tokens must be a list of texts")
    if len(set(tokens)) < len(tokens):
        raise ValueError(f"{file.path}: {len(tokens) - len(set(tokens))} of its {len(tokens)} tokens stand there twice")
    for key in TOKENS:
        token = said.get(f"{key}_token_id")
        if token is not None and (not isinstance(token, int) or not 0 <= token < len(tokens)):
            raise ValueError(f"{file.path}: tokenizer.ggml.{key}_token_id must be in [0, {len(tokens)}), got {token!r}")
    kinds = said.get("token_type", [])
    if not isinstance(kinds, list) or len(kinds) not in (0, len(tokens)):
        raise ValueError(f"{file.path}: tokenizer.ggml.token_type must name {len(tokens)} kinds, got {str(kinds)[:40]}")
    for key in ("remove_extra_whitespaces", "add_sep_token"):
        if said.get(key):
            raise ValueError(f"{file.path}: tokenizer.ggml.{key} = true is not honoured, so not read")
    if said.get("model") == "gpt2":
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

        known = {*GGUF_PRE_TOKENIZER_SPLITS, *_LIKE_GPT2, *_DIGITS_APART}
        if said.get("pre", "gpt-2") not in known:
            raise ValueError(f"{file.path}: tokenizer.ggml.pre = {said['pre']!r} is not honoured, so not read")


def _cut_digits(file: GgufFile, tokenizer: Any) -> None:
    """Cut text at every digit where the file asks for it."""
    if file.metadata.get("tokenizer.ggml.pre") in _DIGITS_APART:
        from tokenizers import pre_tokenizers

        backend = tokenizer.backend_tokenizer
        apart = pre_tokenizers.Digits(individual_digits=True)
        backend.pre_tokenizer = pre_tokenizers.Sequence([apart, pre_tokenizers.ByteLevel(add_prefix_space=False)])


def _keep_kinds(file: GgufFile, path: Path) -> None:
    """Give each control or user-defined token its own id and text, and drop tokens that the file does not hold.

    transformers passes over control tokens with letters outside of its byte alphabet, such as DeepSeek's, and adds an
    `<|endoftext|>` beyond the model's rows where a file has none.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    vocabulary, tokens = content["model"]["vocab"], file.metadata["tokenizer.ggml.tokens"]
    added = {token["id"]: token for token in content["added_tokens"] if token["id"] < len(tokens)}
    if file.metadata.get("tokenizer.ggml.model") == "gpt2":
        spelled = {token_id: text for text, token_id in vocabulary.items()}
        for token_id, kind in enumerate(file.metadata.get("tokenizer.ggml.token_type", [])):
            if kind in (_CONTROL, _USER_DEFINED) and token_id not in added and tokens[token_id]:
                vocabulary.pop(spelled.get(token_id), None)
                vocabulary[tokens[token_id]] = token_id
                flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
                added[token_id] = {"id": token_id, "content": tokens[token_id], **flags, "special": kind == _CONTROL}
    content["added_tokens"] = [added[token_id] for token_id in sorted(added)]
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _keep_beginning(file: GgufFile, path: Path) -> None:
    """Put no space before a text where the file says so, and take none away when ids become text."""
    said, architecture = file.metadata, file.metadata["general.architecture"]
    if said.get("tokenizer.ggml.model") != "llama" or said.get("tokenizer.ggml.add_space_prefix") is not False:
        return
    if architecture in _NO_SPACE_PREFIX:
        return
    content = json.loads(path.read_text(encoding="utf-8"))
    cuts, decoder = content["pre_tokenizer"] or {}, content["decoder"] or {}
    if cuts.get("type") != "Metaspace" or decoder.get("type") != "Sequence":
        raise ValueError(f"{file.path}: tokenizer.ggml.add_space_prefix = false is not honoured, so not read")
    cuts["prepend_scheme"] = "never"
    decoder["decoders"] = [step for step in decoder["decoders"] if step.get("type") != "Strip"]
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _check_kinds(file: GgufFile, tokenizer: Any) -> None:
    """Refuse a tokenizer that reads a control or user-defined token as anything but itself.

    Raises:
        ValueError: if it does, or has not the file's ids.
    """
    tokens: list[str] = file.metadata["tokenizer.ggml.tokens"]
    ids = sorted(tokenizer.get_vocab().values())
    if ids != list(range(len(tokens))):
        raise ValueError(f"{file.path}: its {len(tokens)} tokens would be read as {len(ids)} up to {ids[-1]}")
    for token_id, kind in enumerate(file.metadata.get("tokenizer.ggml.token_type", [])):
        if kind not in (_CONTROL, _USER_DEFINED) or not tokens[token_id]:
            continue
        found = tokenizer(tokens[token_id], add_special_tokens=False)["input_ids"]
        if found != [token_id]:
            raise ValueError(
                f"{file.path}: the token {tokens[token_id]!r} of kind {kind} is {token_id} and would be read as "
                f"{found[:8]}; name the model's own checkpoint"
            )
