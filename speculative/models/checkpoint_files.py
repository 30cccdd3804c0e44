"""Find a model by hub id, folder, GGUF file or name of a shipped draft, and load it."""

import hashlib
import importlib.util
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from arms.atomic_file import atomic_folder, atomic_path
from speculative.models.config import SUPPORTED_FAMILIES, DecoderConfig
from speculative.models.decoder import Decoder
from speculative.models.gguf_blocks import load_blocks, read_gguf_blocks, save_blocks
from speculative.models.linear import Int4Linear, Int8Linear, Linear, WideInt4Linear

DEFAULT_CACHE = Path.home() / ".cache" / "draftpick"
SHIPPED_DRAFTS = Path(__file__).parents[1] / "drafts" / "shipped"
BLOCKS_FILE = "int4_blocks.safetensors"  # beside a converted GGUF file's dense weights
WeightPrecision = Literal["dense", "int4", "int4_fast", "int4_all"]
_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
_NOT_READ = ["*/*", "consolidated*"]  # other formats of the same weights: ONNX in folders, Mistral's own files


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
    weights: WeightPrecision = "dense",
    min_rows: int = 1,
) -> Decoder:
    """Load a Llama-family checkpoint into the engine's own decoder.

    Args:
        name: see `resolve_model`.
        dtype: of activations, cache and dense weights.
        device: of everything.
        cache: where converted weights are kept.
        weights: `int4` keeps the layers' matrices at 4 bits, in the very blocks of a Q4_0 or Q4_1 GGUF file and rounded
            to such blocks otherwise; the head has 8 bits a weight where the CPU multiplies them well and stays dense
            elsewhere, the token embedding is dense. `int4_fast` adds a bfloat16 copy of the layers, at two bytes a
            weight, with which prompts are read in about half the time where the CPU multiplies bfloat16; elsewhere it
            is `int4`. `int4_all` rounds the head to 4 bits: less time, less exact.
            Measured on SmolLM2-135M-Instruct (Q4_1), 1,712 tokens of its own greedy text on 20 prompts: mean negative
            log-likelihood 0.573 dense, 0.574 int4 (0.573 with a dense head), 0.603 int4_all; best token the dense
            model's at 98.2 % (98.9 %) and 91.1 %.
        min_rows: as in `Decoder`.

    Raises:
        ValueError: if the model cannot be found, is incomplete or of another family, the device is not there, or
            4-bit weights are asked for elsewhere than on the CPU or of a kind unknown.
    """
    check_device(device)
    if weights not in get_args(WeightPrecision):
        raise ValueError(f"weights must be one of {get_args(WeightPrecision)}, got {weights!r}")
    if weights != "dense" and torch.device(device).type != "cpu":
        raise ValueError(f"4-bit weights need the CPU, got device {str(device)!r}; use weights='dense' there")
    folder = resolve_model(name, cache)
    config = DecoderConfig.from_folder(folder)
    held = folder / BLOCKS_FILE
    blocks = load_blocks(held) if weights != "dense" and held.is_file() else {}
    dense = read_weights(folder, blocks)
    layers: type[Linear] | type[Int4Linear] = Linear if weights == "dense" else Int4Linear
    head: type[Linear] | type[Int4Linear] | type[Int8Linear] = layers
    if weights in ("int4", "int4_fast"):
        head = Int8Linear if Int8Linear.supported() else Linear
    if weights == "int4_fast" and WideInt4Linear.supported():
        layers = WideInt4Linear
    try:
        return Decoder(
            config, dense, dtype=dtype, device=device, linear=layers, head=head, blocks=blocks, min_rows=min_rows
        )
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


def read_weights(folder: Path, without: Collection[str] = ()) -> dict[str, torch.Tensor]:
    """All tensors of a folder's safetensors files, by name, but for those named in `without`.

    Read are the files that the index names, or `model.safetensors`, or all: what else lies there may be the same
    weights in another format.

    Raises:
        ValueError: if there are none, or one is missing or truncated.
    """
    files = _weight_files(folder)
    weights: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                wanted = [key for key in tensors.keys() if key not in without]  # noqa: SIM118 (no mapping)
                weights.update({key: tensors.get_tensor(key) for key in wanted})
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{file} is not a readable safetensors file: {error}") from error
    return weights


def _weight_files(folder: Path) -> list[Path]:
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{index} is no index of weight files: {error!r}") from error
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ValueError(f"{folder} lacks the weight file {missing[0]} that its index names; fetch it again")
        return [folder / name for name in names]
    if single.is_file():
        return [single]
    files = sorted(file for file in folder.glob("*.safetensors") if file.name != BLOCKS_FILE)
    if not files:
        raise ValueError(f"{folder} holds no .safetensors file")
    return files


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
        return Path(snapshot_download(hub_id, allow_patterns=_HUB_FILES, ignore_patterns=_NOT_READ))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ValueError(
            f"model {hub_id!r} is not a folder here and could not be downloaded from the hub: {error}"
        ) from error


def _convert_gguf(file: Path, cache: Path) -> Path:
    """Convert a GGUF file once into float32 safetensors, its 4-bit blocks and a tokenizer.

    The folder is named by the file's size and time.
    """
    stat = file.stat()
    key = hashlib.sha256(f"{file.resolve()}:{stat.st_size}:{stat.st_mtime_ns}".encode()).hexdigest()[:12]
    folder = cache / "models" / f"{file.stem}-{key}"
    if not folder.is_dir():
        with atomic_folder(folder) as partial:
            _write_dense(file, partial)
    if not (folder / BLOCKS_FILE).is_file():  # so it is for folders of earlier versions too
        _write_blocks(file, folder)
    return folder


def _write_dense(file: Path, folder: Path) -> None:
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
