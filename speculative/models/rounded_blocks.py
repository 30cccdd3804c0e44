"""A dense checkpoint's projections and head rounded to blocks: once, kept on the disk, and mapped from there."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from arms.atomic_file import atomic_folder, remove_stale
from speculative.models.block_file import StoredBlocks, write_blocks
from speculative.models.checkpoint import FLOATS
from speculative.models.config import DecoderConfig
from speculative.models.content_digest import content_digest
from speculative.models.settings import ModelSettings
from speculative.models.weight_blocks import WeightBlocks
from speculative.models.weight_files import BLOCKS_FILE, WeightFiles

WORTH_KEEPING = 2**25  # weights: fewer are rounded in some tenths of a second
_HEAD, _EMBEDDING = "lm_head.weight", "embed_tokens.weight"
_log = logging.getLogger(__name__)


def rounded_blocks(
    folder: Path,
    config: DecoderConfig,
    files: WeightFiles,
    weights: Mapping[str, torch.Tensor],
    settings: ModelSettings,
) -> Mapping[str, WeightBlocks]:
    """Return projections at 4 bits, and the head at 8 (with `int4_all` at 4), of a folder of dense weights.

    Those of a model worth it are kept in `cache / "models"`, in a folder named by a digest of the content, of the
    loader's version and by the form; a killed run leaves none that could be taken for whole.

    Args:
        folder: a checkpoint.
        config: its configuration.
        files: its weight files.
        weights: its weights by name, plain.
        settings: the form, and where it is kept.

    Raises:
        ValueError: if a matrix has rows that are no multiple of a block long.
    """
    sources = _sources(weights, files, config.tied_head)
    if sum(torch.Size(files.stored[name].shape).numel() for name in sources.values()) < WORTH_KEEPING:
        return dict(_rounded(sources, weights, settings))
    parts = sorted({(tensor.file, _header_end(tensor.file)) for tensor in files.stored.values()})
    said = folder / "config.json"
    digest = content_digest([(said, said.stat().st_size), *parts])
    models = Path(settings.cache) / "models"
    kept = models / f"{folder.resolve().name}-{digest}-{settings.packed}"
    if not kept.is_dir():
        remove_stale(models)
        _log.info("rounding %s to %s in %s, once", folder, settings.packed, kept)
        with atomic_folder(kept) as partial:
            write_blocks(partial / BLOCKS_FILE, list(sources), _rounded(sources, weights, settings))
    return StoredBlocks(kept / BLOCKS_FILE)


def _sources(weights: Mapping[str, torch.Tensor], files: WeightFiles, is_tied: bool) -> dict[str, str]:
    """Return the stored tensor of each matrix; what is no matrix is left for the decoder to refuse by name."""
    names = {name: name for name in weights if name.endswith("_proj.weight")}
    heads = [name for name in weights if name.removeprefix("model.") == _HEAD]
    embeddings = [name for name in weights if name.removeprefix("model.") == _EMBEDDING]
    found = embeddings if is_tied else heads
    if found and not (is_tied and heads):  # of a tied one with a head the decoder says which it takes
        names[_HEAD] = found[0]
    return {ours: name for ours, name in names.items() if len(files.stored[name].shape) == 2}


def _rounded(
    sources: Mapping[str, str], weights: Mapping[str, torch.Tensor], settings: ModelSettings
) -> Iterator[tuple[str, WeightBlocks]]:
    for ours, name in sources.items():
        weight = weights[name]
        if weight.dtype not in FLOATS:
            raise ValueError(f"the tensor {name!r} must hold floats of 16 to 64 bits, got {weight.dtype}")
        try:
            yield ours, WeightBlocks.quantise(weight, 8 if ours == _HEAD and settings.packed == "int4" else 4)
        except ValueError as error:
            raise ValueError(f"the tensor {name!r}: {error}; use weights='dense'") from error


def _header_end(file: Path) -> int:
    """Where a safetensors file's numbers begin."""
    with file.open("rb") as content:
        return 8 + int.from_bytes(content.read(8), "little")
