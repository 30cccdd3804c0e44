"""A GGUF file converted, once, into a checkpoint folder."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from arms.atomic_file import atomic_folder, atomic_path
from speculative.models.config import SUPPORTED_FAMILIES
from speculative.models.gguf_blocks import read_gguf_blocks, save_blocks
from speculative.models.weight_files import BLOCKS_FILE


def convert_gguf(file: Path, cache: Path) -> Path:
    """Convert a GGUF file once into float32 safetensors, its 4-bit blocks and a tokenizer.

    The folder, in `cache / "models"`, is named by the file's size and time.

    Raises:
        ValueError: if a 4-bit block differs from the dense weights.
    """
    stat = file.stat()
    key = hashlib.sha256(f"{file.resolve()}:{stat.st_size}:{stat.st_mtime_ns}".encode()).hexdigest()[:12]
    folder = cache / "models" / f"{file.stem}-{key}"
    if not folder.is_dir():
        with atomic_folder(folder) as partial:
            write_dense(file, partial)
    if not (folder / BLOCKS_FILE).is_file():  # so it is for folders of earlier versions too
        _write_blocks(file, folder)
    return folder


def write_dense(file: Path, folder: Path) -> None:
    """Write a GGUF file's configuration, float32 weights and tokenizer as transformers reads them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # transformers refuses save_pretrained for a model read from GGUF, though its weights are dense now.
    config = model.config.to_dict()
    config = {k: v for k, v in config.items() if k != "quantization_config" and not k.startswith("_")}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    weights = model.state_dict()
    if config.get("tie_word_embeddings"):
        weights.pop("lm_head.weight", None)
    dense = {key: tensor.contiguous() for key, tensor in weights.items()}
    save_file(dense, folder / "model.safetensors")
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)


def _write_blocks(file: Path, folder: Path) -> None:
    """Keep a GGUF file's 4-bit blocks beside its dense weights, once they are seen to be the same numbers.

    Raises:
        ValueError: if a block differs from the dense weights: its rows stand in an order this reader does not know.
    """
    config = json.loads((folder / "config.json").read_text())
    blocks = {}
    if config.get("model_type") in SUPPORTED_FAMILIES:
        n_heads = config["num_attention_heads"]
        blocks = read_gguf_blocks(file, n_heads, config.get("num_key_value_heads") or n_heads)
        with safe_open(folder / "model.safetensors", framework="pt") as tensors:
            for name, block in blocks.items():
                if (tensors.get_tensor(name) - block.dense()).abs().max() > 1e-6:
                    raise ValueError(f"{file}: the 4-bit blocks of {name} differ from its dense weights")
    with atomic_path(folder / BLOCKS_FILE) as partial:
        save_blocks(blocks, partial)
