"""The safetensors files of a checkpoint folder."""

import json
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

BLOCKS_FILE = "int4_blocks.safetensors"  # beside a converted GGUF file's dense weights


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
