"""A GGUF file converted, once for each form that is asked for, into a checkpoint folder."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import torch

from arms.atomic_file import atomic_folder, remove_stale
from speculative.models.block_file import tell, write_blocks
from speculative.models.config import DecoderConfig
from speculative.models.content_digest import content_digest
from speculative.models.gguf_config import ARCHITECTURES, config_of, write_generation_config
from speculative.models.gguf_file import GgufFile
from speculative.models.gguf_metadata import check_tokens
from speculative.models.gguf_tensors import EMBEDDING, HEAD, SourceTensor, check_complete, tensors_of
from speculative.models.gguf_tokenizer import save_gguf_tokenizer
from speculative.models.safetensors_writer import SafetensorsWriter
from speculative.models.settings import DEFAULT_SETTINGS, ModelSettings
from speculative.models.weight_files import BLOCKS_FILE

_log = logging.getLogger(__name__)


def convert_gguf(path: Path, settings: ModelSettings = DEFAULT_SETTINGS) -> Path:
    """Convert a GGUF file, or all parts of a split one, into a checkpoint folder of the form that is asked for.

    Dense weights are kept in the dtype asked for, projections and head for 4 bits in packed blocks, with embedding and
    norms in that dtype. The folder, in `cache / "models"`, is named by a digest of the content (all of the header, 4
    MiB of the weights), of this loader's version, and by the form. Tensors are read one after the other, so that the
    memory taken is that of a slab of one.

    Raises:
        ValueError: if the file is missing or damaged, lacks a tensor, or says something that would not be honoured.
    """
    file = GgufFile.open(path)
    architecture = file.metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise ValueError(f"{path} names no general.architecture; it is no complete model file")
    ours = architecture in ARCHITECTURES
    dtype = str(settings.known_dtype).removeprefix("torch.")
    form = f"{settings.packed}-{dtype}" if ours and settings.packed is not None else dtype
    models = Path(settings.cache) / "models"
    digest = content_digest(list(zip(file.parts, file.header_bytes, strict=True)))
    folder = models / f"{file.path.stem}-{digest}-{form}"
    if not folder.is_dir():
        remove_stale(models)
        _log.info("converting %s to %s in %s", file.path, form, folder)
        check_tokens(file)
        with atomic_folder(folder) as partial:
            if ours:
                _write(file, partial, settings)
            else:
                from speculative.models.adapters.gguf_loading import write_other_gguf

                write_other_gguf(file, partial, settings.known_dtype)
    return folder


def _write(file: GgufFile, folder: Path, settings: ModelSettings) -> None:
    """Write configuration, weights and tokenizer of a model of the Llama family."""
    config = config_of(file)
    tensors = tensors_of(file, config)
    check_complete(file, tensors, DecoderConfig.from_dict(config, str(file.path)))
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    write_generation_config(file.metadata, folder)
    save_gguf_tokenizer(file, folder)
    packed = [t for t in tensors if settings.packed is not None and (t.is_projection or t.is_head)]
    dense = [t for t in tensors if settings.packed is None or not (t.is_projection or t.is_head)]
    if packed and config["tie_word_embeddings"]:
        packed += [replace(t, name=HEAD) for t in tensors if t.name == EMBEDDING]
    try:
        _write_dense(folder / "model.safetensors", dense, settings.known_dtype)
        if packed:
            named = ((t.name, t.blocks(settings.packed == "int4_all")) for t in packed)
            write_blocks(folder / BLOCKS_FILE, [t.name for t in packed], named)
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from error


def _write_dense(path: Path, tensors: list[SourceTensor], dtype: torch.dtype) -> None:
    with SafetensorsWriter(path, [tensor.name for tensor in tensors]) as writer:
        for i, tensor in enumerate(tensors, 1):
            writer.add(tensor.name, tensor.slabs(dtype), tensor.stored.shape)
            tell(i, len(tensors), "tensors")
