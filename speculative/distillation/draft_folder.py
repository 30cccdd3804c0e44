"""The folder that a distilled draft is saved in: whole or not at all, and never at the cost of anything else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from arms.atomic_file import atomic_folder
from arms.input_file import read_bytes
from speculative.distillation.head_training import HeadRecipe
from speculative.distillation.training import Recipe, transformers_config
from speculative.drafts.draft_model import VOCABULARY_FILE
from speculative.models.tokenizer import tokenizer_fingerprint
from speculative.targets.target import Target

CARD = "README.md"
_TITLE = "# draftpick draft:"
_FILES = ("config.json", "model.safetensors", VOCABULARY_FILE, "metrics.json", CARD)


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
    if CARD in found and not read_bytes(folder / CARD).decode(errors="replace").startswith(_TITLE):
        raise ValueError(f"{folder} holds a {CARD} that is no draft's card, and would be replaced: {advice}")
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
    config = transformers_config(recipe.config)
    _save(folder, target, config, recipe.target_ids, {name: tensor.half() for name, tensor in weights.items()}, metrics)


def save_head(
    folder: Path,
    target: Target,
    recipe: HeadRecipe,
    weights: Mapping[str, torch.Tensor],
    metrics: Mapping[str, object],
) -> None:
    """Write a head's folder in EAGLE-3's published form; otherwise as `save_draft`.

    Raises:
        ValueError: as `check_draft_folder`.
    """
    known = torch.tensor(recipe.target_ids)
    marks = torch.zeros(recipe.target.n_vocab, dtype=torch.bool)
    marks[known] = True
    tensors = {name: tensor.half() for name, tensor in weights.items()}
    tensors |= {"d2t": known - torch.arange(len(known)), "t2d": marks}
    config = {
        **transformers_config(recipe.config),
        "architectures": ["LlamaForCausalLMEagle3"],
        "vocab_size": recipe.target.n_vocab,
        "draft_vocab_size": len(known),
        "eagle_aux_hidden_state_layer_ids": list(recipe.state_layers),
        "rope_scaling": recipe.target.rope_scaling,
        "tie_word_embeddings": False,
    }
    del config["rope_parameters"]
    _save(folder, target, config, recipe.target_ids, tensors, metrics)


def _save(
    folder: Path,
    target: Target,
    config: Mapping[str, object],
    target_ids: Sequence[int],
    tensors: Mapping[str, torch.Tensor],
    metrics: Mapping[str, object],
) -> None:
    vocabulary = {"tokenizer": tokenizer_fingerprint(target.tokenizer), "target_ids": list(target_ids)}
    check_draft_folder(folder, target)
    with atomic_folder(folder) as partial:
        (partial / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial / "model.safetensors")
        (partial / VOCABULARY_FILE).write_text(json.dumps(vocabulary), encoding="utf-8")
        (partial / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
        (partial / CARD).write_text(_card(folder.name, target, metrics), encoding="utf-8")
        check_draft_folder(folder, target)


def _card(name: str, target: Target, metrics: Mapping[str, object]) -> str:
    """Return what to know of the draft: for what it drafts, from what it was made, how often it is right."""
    rate, settings = metrics["match_rate"], metrics["settings"]
    assert isinstance(rate, Mapping)
    assert isinstance(settings, Mapping)
    return "\n".join(
        [
            f"{_TITLE} {name}",
            "",
            f"A {str(settings['kind']).replace('_', ' ')} for speculative decoding with {target.name}. It only "
            "proposes; what the target does not confirm is rejected.",
            "",
            f"- Data: the target's own greedy text on {metrics['n_train_texts']} prompts "
            f"({metrics['n_train_tokens']:,} tokens).",
            f"- Training: {settings['n_epochs']} epochs on the target's {settings['n_teacher']} likeliest next tokens, "
            f"seed {settings['seed']}.",
            f"- It proposes {rate['value']:.1%} [{rate['low']:.1%}, {rate['high']:.1%}] of the target's next tokens on "
            f"{rate['n_texts']} held-out texts, which gives {rate['tokens_per_round']:.2f} tokens a round at draft "
            "length 4.",
            *_by_domain(metrics),
            "",
            "In a pool file:",
            "",
            "```toml",
            "[[arms]]",
            f'kind = "{settings["kind"]}"',
            f'model = "{name}"',
            "draft_length = 4",
            "```",
            "",
        ]
    )


def _by_domain(metrics: Mapping[str, object]) -> list[str]:
    """Return a line for each domain that the draft was measured on, where there are several."""
    rates = metrics.get("by_domain", {})
    assert isinstance(rates, Mapping)
    return [
        f"- On {domain}: {rate['value']:.1%} [{rate['low']:.1%}, {rate['high']:.1%}], "
        f"{rate['tokens_per_round']:.2f} tokens a round."
        for domain, rate in rates.items()
        if len(rates) > 1
    ]
