"""A GGUF file of a family that only transformers computes, written as a checkpoint once it is seen to be whole."""

import io
import json
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from speculative.models.adapters.quiet import quiet_transformers
from speculative.models.gguf_config import write_generation_config
from speculative.models.gguf_file import GgufFile
from speculative.models.gguf_tokenizer import save_gguf_tokenizer

_IGNORED = ("rope.scaling.finetuned", "vocab_size", "rope.dimension_count", "rope.freq_base")


def write_other_gguf(file: GgufFile, folder: Path, dtype: torch.dtype) -> None:
    """Write a GGUF file's configuration, weights and tokenizer as transformers reads them.

    Raises:
        ValueError: if transformers does not know the architecture, or would complete, cut or misread the file.
    """
    if len(file.parts) > 1:
        raise ValueError(f"{file.path}: a split file of this architecture is not read; join its parts first")
    _check_said(file)
    options = {"dtype": dtype, "output_loading_info": True}
    try:
        with quiet_transformers(), redirect_stderr(io.StringIO()):  # its bar here heeds no setting
            model, info = AutoModelForCausalLM.from_pretrained(
                str(file.path.parent), gguf_file=file.path.name, **options
            )
    except Exception as error:  # transformers raises whatever a broken or unknown file leads it to
        raise ValueError(f"{file.path} cannot be read by transformers ({type(error).__name__}): {error}") from error
    _check_whole(file, model, info)
    # transformers refuses save_pretrained for a model read from GGUF, though its weights are dense now.
    config = model.config.to_dict()
    config = {k: v for k, v in config.items() if k != "quantization_config" and not k.startswith("_")}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    write_generation_config(file.metadata, folder)
    weights = model.state_dict()
    if config.get("tie_word_embeddings"):
        weights.pop("lm_head.weight", None)
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    save_gguf_tokenizer(file, folder)


def _check_said(file: GgufFile) -> None:
    """Refuse what the file says of positions and heads that transformers does not read."""
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
    from transformers.integrations.gguf import GGUF_CONFIG_ARCHS

    architecture = file.metadata["general.architecture"]
    if architecture in GGUF_CONFIG_ARCHS:  # has a reader of its own, not a table
        return
    known = GGUF_CONFIG_MAPPING.get(architecture.replace("-", "_"), GGUF_CONFIG_MAPPING.get(architecture, {}))
    for key, value in file.metadata.items():
        place, _, said = key.partition(".")
        matters = said.startswith(("rope.", "attention.")) and said not in known and said not in _IGNORED
        same_as_keys = said == "attention.value_length" and value == file.metadata.get(f"{place}.attention.key_length")
        if place == architecture and known and matters and not same_as_keys:
            raise ValueError(f"{file.path}: {key} = {str(value)[:40]} is not honoured, so not read")


def _check_whole(file: GgufFile, model: Any, info: dict[str, Any]) -> None:
    """Refuse a file that was completed with random weights, or of which something was left out."""
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(f"{file.path} lacks the tensor {missing[0]!r} and {len(missing) - 1} more; it is incomplete")
    stored = sum(torch.Size(tensor.shape).numel() for tensor in file.tensors.values())
    taken = sum(parameter.numel() for parameter in model.parameters())
    head = model.get_output_embeddings().weight.numel()
    if stored not in (taken, taken + head):  # some files repeat a tied head
        raise ValueError(f"{file.path} holds {stored} weights, of which transformers reads {taken}; it is not read")
