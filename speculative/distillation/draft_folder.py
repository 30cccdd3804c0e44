"""The folder that a distilled draft is saved in: whole or not at all, and never at the cost of anything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from arms.atomic_file import atomic_folder
from speculative.distillation.training import Recipe, transformers_config
from speculative.drafts.draft_model import VOCABULARY_FILE
from speculative.models.tokenizer import tokenizer_fingerprint
from speculative.targets.target import Target

_FILES = ("config.json", "model.safetensors", VOCABULARY_FILE, "metrics.json")


def check_draft_folder(folder: Path, target: Target) -> None:
    """Refuse a folder that a draft must not replace.

    Args:
        folder: may be missing, empty, or an earlier draft and nothing else.
        target: whose own folder it must not be, or lie around or in.

    Raises:
        ValueError: if it is something else; the message names what stands there.
    """
    advice = "name a new folder"
    if folder.is_symlink():
        raise ValueError(f"{folder} is a symbolic link to {folder.readlink()}: name that folder itself, or a new one")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, and a draft is a folder: {advice}")
    own, out = target.folder and target.folder.resolve(), folder.resolve()
    if own is not None and (own == out or own in out.parents or out in own.parents):
        raise ValueError(f"{folder} is the folder of the target {target.name}, or lies in or around it: {advice}")
    found = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    foreign = sorted(found.difference(_FILES))
    if foreign:
        raise ValueError(f"{folder} holds {foreign[0]}, which is no part of a draft, and would be replaced: {advice}")
    if found and VOCABULARY_FILE not in found:
        raise ValueError(f"{folder} holds {min(found)} and no {VOCABULARY_FILE}: it is no earlier draft; {advice}")


def save_draft(
    folder: Path,
    target: Target,
    recipe: Recipe,
    weights: Mapping[str, torch.Tensor],
    metrics: Mapping[str, object],
) -> None:
    """Write a draft's folder, whole or not at all; an older draft of that name is replaced, nothing else ever.

    Raises:
        ValueError: as `check_draft_folder`.
    """
    vocabulary = {"tokenizer": tokenizer_fingerprint(target.tokenizer), "target_ids": list(recipe.target_ids)}
    check_draft_folder(folder, target)
    with atomic_folder(folder) as partial:
        (partial / "config.json").write_text(json.dumps(transformers_config(recipe.config), indent=1), encoding="utf-8")
        save_file({name: tensor.half().contiguous() for name, tensor in weights.items()}, partial / "model.safetensors")
        (partial / VOCABULARY_FILE).write_text(json.dumps(vocabulary), encoding="utf-8")
        (partial / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
        check_draft_folder(folder, target)
