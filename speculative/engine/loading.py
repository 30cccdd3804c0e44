"""Find a model by hub id, folder, GGUF file or name of a shipped draft, and load it."""

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from speculative.engine.decoder import Decoder
from speculative.engine.decoder_config import DecoderConfig
from speculative.engine.linear import Int4Linear, Linear

DEFAULT_CACHE = Path.home() / ".cache" / "draftpick"
SHIPPED_DRAFTS = Path(__file__).parent.parent / "shipped_drafts"
_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


def resolve_model(name: str, cache: Path = DEFAULT_CACHE) -> Path:
    """Give the checkpoint folder of a model, converting or downloading it when needed.

    Args:
        name: a folder; a `.gguf` file (converted once to safetensors and cached); `package:NAME`, the one
            GGUF file inside an installed Python package; `shipped:NAME`, a draft that draftpick ships; or a
            hub id `owner/name`.
        cache: where converted weights are kept.

    Raises:
        ValueError: if nothing of that name can be had; the message says what was looked for.
    """
    if name.startswith("package:"):
        return _convert_gguf(_gguf_in_package(name.removeprefix("package:")), cache)
    if name.startswith("shipped:"):
        return _shipped(name.removeprefix("shipped:"))
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ValueError(f"model file {path} does not exist")
        return _convert_gguf(path, cache)
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
        raise ValueError(f"model {name!r} is neither a folder, a .gguf file nor a hub id of the form owner/name")
    return _download(name)


def load_decoder(
    name: str,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    cache: Path = DEFAULT_CACHE,
    linear: type[Linear] | type[Int4Linear] = Linear,
    min_rows: int = 1,
) -> Decoder:
    """Load a Llama-family checkpoint into the engine's own decoder (`linear` and `min_rows` as there).

    Raises:
        ValueError: if the model cannot be found, is incomplete or of another family, or the device is not there.
    """
    check_device(device)
    folder = resolve_model(name, cache)
    config, weights = DecoderConfig.from_folder(folder), read_weights(folder)
    try:
        return Decoder(config, weights, dtype=dtype, device=device, linear=linear, min_rows=min_rows)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error


def check_device(device: torch.device | str) -> None:
    """Refuse a device that this machine or this build of torch does not have.

    Raises:
        ValueError: naming the device and what there is.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {str(device)!r} cannot be used here ({reason}); name another, such as cpu") from error


def load_tokenizer(name: str, cache: Path = DEFAULT_CACHE) -> Any:
    """The model's transformers tokenizer.

    Raises:
        ValueError: if the model folder has none.
    """
    from transformers import AutoTokenizer

    folder = resolve_model(name, cache)
    files = ("tokenizer.json", "tokenizer_config.json", "vocab.json")
    if not any((folder / file).is_file() for file in files):
        raise ValueError(f"{folder} holds no tokenizer")
    return AutoTokenizer.from_pretrained(folder)


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Digest of a tokenizer's vocabulary: equal for tokenizers whose ids mean the same."""
    items = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return hashlib.sha256(json.dumps(items).encode()).hexdigest()[:16]


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder's safetensors files, by name.

    Raises:
        ValueError: if there are none, or one is truncated.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ValueError(f"{folder} holds no .safetensors file")
    weights: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                weights.update({key: tensors.get_tensor(key) for key in tensors.keys()})  # noqa: SIM118 (no mapping)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{file} is not a readable safetensors file: {error}") from error
    return weights


def _gguf_in_package(package: str) -> Path:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # the parent of a dotted name
        spec = None
    if spec is None or spec.origin is None:
        raise ValueError(f"Python package {package!r} is not installed; install it or name another model")
    files = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if len(files) != 1:
        raise ValueError(f"Python package {package!r} must hold one .gguf file, found {len(files)}")
    return files[0]


def _shipped(name: str) -> Path:
    folder = SHIPPED_DRAFTS / name
    if not folder.is_dir():
        known = sorted(path.parent.name for path in SHIPPED_DRAFTS.glob("*/config.json"))
        raise ValueError(f"no shipped draft is named {name!r}; there are {known}")
    return folder


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=_HUB_FILES))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ValueError(
            f"model {hub_id!r} is not a folder here and could not be downloaded from the hub: {error}"
        ) from error


def _convert_gguf(file: Path, cache: Path) -> Path:
    """Dequantise a GGUF file once into float32 safetensors plus tokenizer, named by its size and time."""
    stat = file.stat()
    key = hashlib.sha256(f"{file.resolve()}:{stat.st_size}:{stat.st_mtime_ns}".encode()).hexdigest()[:12]
    folder = cache / "models" / f"{file.stem}-{key}"
    if folder.is_dir():
        return folder
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
        model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        # transformers refuses save_pretrained for a model read from GGUF, though its weights are dense now.
        config = model.config.to_dict()
        config = {k: v for k, v in config.items() if k != "quantization_config" and not k.startswith("_")}
        (partial / "config.json").write_text(json.dumps(config, indent=2))
        weights = model.state_dict()
        if config.get("tie_word_embeddings"):
            weights.pop("lm_head.weight", None)
        dense = {key: tensor.contiguous() for key, tensor in weights.items()}
        save_file(dense, partial / "model.safetensors")
        AutoTokenizer.from_pretrained(**source).save_pretrained(partial)
        if not folder.is_dir():
            os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder
