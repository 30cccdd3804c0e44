"""Load any causal LM: into the engine's own decoder where it computes the family, else into transformers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from speculative.models.block_file import StoredBlocks
from speculative.models.config import SUPPORTED_FAMILIES, DecoderConfig, inverse_frequencies
from speculative.models.decoder import Decoder, Head, Products
from speculative.models.fp8_linear import Fp8Linear
from speculative.models.gguf_conversion import convert_gguf
from speculative.models.int8_linear import Int8Linear
from speculative.models.json_file import check_regular_files, read_json_object
from speculative.models.kernels.layer_shapes import LayerShapes
from speculative.models.kernels.plan import KernelPlan
from speculative.models.kernels.settle import settle, unmeasured
from speculative.models.linear import Int4Linear, Linear, WideInt4Linear
from speculative.models.quantised import dequantised
from speculative.models.rope import UnsupportedModelError
from speculative.models.rounded_blocks import rounded_blocks
from speculative.models.settings import DEFAULT_SETTINGS, ModelSettings
from speculative.models.sources import Description, describe_folder, describe_gguf, gguf_file, resolve_model
from speculative.models.weight_blocks import WeightBlocks
from speculative.models.weight_files import BLOCKS_FILE, WeightFiles, read_weights
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.free_memory import free_bytes

Backend = Literal["auto", "decoder", "transformers"]
_LESS_MEMORY = {
    "dense": "weights='int4', a smaller dtype or a smaller model",
    "int4_fast": "weights='int4' or a smaller model",
    "int4": "weights='int4_all' or a smaller model",
    "int4_all": "a smaller model",
    "fp8": "weights='int4' or a smaller model",
}
_MOST_WEIGHTS_A_BYTE = 8  # a configuration that claims more is wrong, and is refused when the weights are read


def load_model(
    source: str | Path, settings: ModelSettings = DEFAULT_SETTINGS, *, backend: Backend = "auto"
) -> CausalLM:
    """Load a target model.

    Args:
        source: a name that `resolve_model` takes, or the checkpoint folder that it gave.
        settings: how the model is held; transformers' models have dense weights only.
        backend: "decoder", the engine's own, which is fast; "transformers", its model of the family; "auto", the
            decoder where it computes the model exactly, else transformers.

    Raises:
        ValueError: if the model cannot be found, is incomplete or not a causal LM, or an option is not to be had.
    """
    if backend not in ("auto", "decoder", "transformers"):
        raise ValueError(f"backend must be 'auto', 'decoder' or 'transformers', got {backend!r}")
    folder, settings = resolve_settled(source, settings)
    check_regular_files(folder)
    if backend == "decoder" or (backend == "auto" and _is_decoders(folder)):
        return load_decoder(folder, settings)
    if settings.weights != "dense":
        raise ValueError(
            f"{folder}: weights={settings.weights!r} needs the engine's decoder, which computes {SUPPORTED_FAMILIES}"
        )
    if settings.graphs == "on":
        raise ValueError(f"{folder}: graphs='on' needs the engine's decoder, which computes {SUPPORTED_FAMILIES}")
    from speculative.models.adapters.checkpoint_loading import load_transformers_lm

    return load_transformers_lm(folder, dtype=settings.known_dtype, device=settings.device)


def load_decoder(source: str | Path, settings: ModelSettings = DEFAULT_SETTINGS) -> Decoder:
    """Load a Llama-family checkpoint into the engine's own decoder.

    Args:
        source: as in `load_model`.
        settings: how it is held.

    Raises:
        ValueError: if the model cannot be found, is incomplete or of another family.
    """
    folder, settings = resolve_settled(source, settings)
    config = DecoderConfig.from_folder(folder)
    files, origin = read_weights(folder), str(folder / "config.json")
    weights = dequantised(files, read_json_object(folder / "config.json"), origin)
    products = _products(settings)
    try:
        blocks = _blocks(folder, config, files, weights, settings)
        _check_memory(config, files, blocks, settings)
        decoder = Decoder(
            config, weights, dtype=settings.known_dtype, device=settings.device, products=products, blocks=blocks
        )
        if settings.graphs == "off":
            decoder.graphs = None
        return decoder
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error


def _blocks(
    folder: Path,
    config: DecoderConfig,
    files: WeightFiles,
    weights: Mapping[str, torch.Tensor],
    settings: ModelSettings,
) -> Mapping[str, WeightBlocks]:
    """Return the matrices in blocks: a converted GGUF file's own, or those that dense ones are rounded to."""
    if settings.packed is None:
        return {}
    held = folder / BLOCKS_FILE
    return StoredBlocks(held) if held.is_file() else rounded_blocks(folder, config, files, weights, settings)


def _check_memory(
    config: DecoderConfig, files: WeightFiles, blocks: Mapping[str, WeightBlocks], settings: ModelSettings
) -> None:
    """Refuse a model that the memory could not hold, before its weights are laid out there.

    Dense weights that are kept in blocks were rounded on the disk by now, one matrix in memory at a time.

    Raises:
        ValueError: naming the memory needed and the memory that is free.
    """
    needed = sum(
        torch.Size(tensor.shape).numel() * _bytes_a_weight(name, settings)
        for name, tensor in files.stored.items()
        if name not in blocks and not (settings.on_cpu and name.endswith("embed_tokens.weight"))  # it may stay mapped
    )
    needed += blocks.n_bytes if isinstance(blocks, StoredBlocks) else 0
    if _keeps_copies(settings):
        shapes = LayerShapes.of(config)
        needed += shapes.n_weights * shapes.n_layers * torch.bfloat16.itemsize
    free = free_bytes(torch.device(settings.device))
    if needed > free:
        raise ValueError(
            f"the weights would take {needed / 1e9:.1f} GB as {settings.weights}, {settings.dtype}, but "
            f"{free / 1e9:.1f} GB are free; ask for {_LESS_MEMORY[settings.weights]}"
        )


def _bytes_a_weight(name: str, settings: ModelSettings) -> int:
    """Return what a weight that is stored dense takes in memory."""
    is_rounded = settings.weights == "fp8" and name.endswith("_proj.weight")
    return torch.float8_e4m3fn.itemsize if is_rounded else settings.known_dtype.itemsize


def _keeps_copies(settings: ModelSettings) -> bool:
    """Whether the layers' 4-bit weights have a bfloat16 copy beside them."""
    plan = settings.kernels
    reads = isinstance(plan, KernelPlan) and plan.wide_rows is not None
    return settings.weights == "int4_fast" and reads and (not settings.on_cpu or WideInt4Linear.supported())


def resolve_settled(source: str | Path, settings: ModelSettings) -> tuple[Path, ModelSettings]:
    """Return a model's checkpoint folder, and the settings with what is left to a measurement settled for it.

    Args:
        source: as in `load_model`.
        settings: what is allowed.

    Raises:
        ValueError: if the model cannot be found or its configuration is broken.
    """
    file = gguf_file(source) if isinstance(source, str) else None
    if file is not None:
        if "auto" in (settings.dtype, settings.weights):  # settled before it is converted, in the form that is settled
            settings = _settled(file, describe_gguf, settings)
        folder = convert_gguf(file, settings)
    else:
        folder = source if isinstance(source, Path) else resolve_model(source, settings)
    return folder, settings if settings.is_settled else _settled(folder, describe_folder, settings)


def _settled(source: Path, describe: Callable[[Path], Description], settings: ModelSettings) -> ModelSettings:
    dtype = torch.float32
    try:
        described = describe(source)
        dtype = _stored_dtype(described.config, settings)
        shapes = LayerShapes.of(DecoderConfig.from_dict(described.config, str(source)))
    except UnsupportedModelError:
        return unmeasured(settings, dtype)
    is_whole = shapes.n_weights * shapes.n_layers <= _MOST_WEIGHTS_A_BYTE * described.n_bytes
    return settle(shapes, settings) if settings.on_cpu and is_whole else unmeasured(settings, dtype)


def _stored_dtype(raw: dict[str, Any], settings: ModelSettings) -> torch.dtype:
    """Return the dtype that a checkpoint names, bfloat16 where it names none; on the CPU float32."""
    named = {"float32": torch.float32, "float16": torch.float16}
    stored = named.get(str(raw.get("dtype") or raw.get("torch_dtype")), torch.bfloat16)
    return torch.float32 if settings.on_cpu else stored


def _products(settings: ModelSettings) -> Products:
    """Return the products that the device has for a way to hold weights."""
    plan, weights = settings.kernels, settings.weights
    assert isinstance(plan, KernelPlan)
    if weights == "dense":
        return Products(plan=plan)
    if weights == "fp8":
        return Products(Fp8Linear, Linear, plan)
    layers = WideInt4Linear if _keeps_copies(settings) else Int4Linear
    head: type[Head] = layers
    if weights in ("int4", "int4_fast"):
        head = Int8Linear if settings.on_cpu and Int8Linear.supported() else Linear
    return Products(layers, head, plan)


def _is_decoders(folder: Path) -> bool:
    """Whether the decoder computes the folder's configuration.

    Raises:
        ValueError: if the configuration is missing or broken.
    """
    try:
        inverse_frequencies(DecoderConfig.from_folder(folder))
    except UnsupportedModelError:
        return False
    return True
