"""Heads on disk, in the forms in which they are published: EAGLE, EAGLE-3, and the `speculators` format of both."""

import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from speculative.models.config import DecoderConfig
from speculative.models.decoder import Decoder
from speculative.models.feature_head import FeatureHeadModel, HeadConfig
from speculative.models.json_file import read_json_object
from speculative.models.weight_files import read_weights
from speculative.protocols.state_rows import LAST

_PICKLED = "pytorch_model.bin"  # as the first heads were published
_PREFIXES = {"midlayer.": "layer.", "layers.0.": "layer.", "transformer.": "layer.", "fusion_fc.": "fc."}
_NOT_READ = ("t2d", "d2t", "verifier_lm_head.weight", "verifier_norm.weight")  # maps are checked apart
_NOT_COMPUTED = ("norm_before_fc", "fc_norm", "layernorms")


def load_head(folder: Path, target: Decoder) -> FeatureHeadModel:
    """Load a head for a target.

    Args:
        folder: holds `config.json` and the weights, as safetensors or `pytorch_model.bin`.
        target: the model that it was made for.

    Raises:
        ValueError: if a file is missing or damaged, or the head does not fit the target: its sizes, its vocabulary or
            its map, a tensor missing or left over. The message names the folder and what does not fit.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} holds no config.json: it is no head")
    raw = read_json_object(path)
    try:
        weights = _read(folder)
        config = _config(raw, weights, target)
        return FeatureHeadModel(config, {name: weights[name] for name in weights if name not in _NOT_READ}, target)
    except ValueError as error:
        raise ValueError(f"{folder} is no head for this target: {error}") from error


def default_layers(n_layers: int) -> tuple[int, ...]:
    """Return the layers whose incoming states EAGLE-3 reads: an early, the middle and a late one, if they differ."""
    return tuple(sorted({min(2, n_layers - 1), n_layers // 2, max(0, n_layers - 3)}))


def _read(folder: Path) -> Mapping[str, torch.Tensor]:
    """Return the tensors by the names that `FeatureHeadModel` knows."""
    pickled = folder / _PICKLED
    if any(folder.glob("*.safetensors")) or not pickled.is_file():
        stored: Mapping[str, torch.Tensor] = read_weights(folder)
    else:
        try:
            stored = torch.load(pickled, map_location="cpu", weights_only=True)
        except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
            raise ValueError(f"{pickled} is damaged: {error}") from error
        if not isinstance(stored, dict) or not all(isinstance(value, torch.Tensor) for value in stored.values()):
            raise ValueError(f"{pickled} must hold tensors by name")
    found: dict[str, torch.Tensor] = {}
    for name in stored:
        short = name.removeprefix("model.")
        for prefix, own in _PREFIXES.items():
            if short.startswith(prefix):
                short = own + short.removeprefix(prefix)
        if short in found:
            raise ValueError(f"two of its tensors are {short!r}")
        found[short] = stored[name]
    return found


def _config(raw: Mapping[str, Any], weights: Mapping[str, torch.Tensor], target: Decoder) -> HeadConfig:
    kind = raw.get("speculators_model_type")
    if kind not in (None, "eagle", "eagle3"):
        raise ValueError(f"speculators_model_type must be 'eagle' or 'eagle3', got {kind!r}")
    not_computed = [name for name in _NOT_COMPUTED if raw.get(name)]
    if not_computed:
        raise ValueError(f"config.json says {not_computed[0]}, which is not computed here")
    said = raw if kind is None else raw.get("transformer_layer_config", {})
    if not isinstance(said, dict):
        raise ValueError(f"transformer_layer_config must be an object, got {said!r}")
    layer = DecoderConfig.from_dict(said)
    if layer.n_layers != 1:
        raise ValueError(f"a head must have one layer, config.json says {layer.n_layers}")
    if layer.n_vocab != target.n_vocab:
        raise ValueError(f"it was made for a vocabulary of {layer.n_vocab} tokens, the target has {target.n_vocab}")
    if kind == "eagle" or (
        kind is None and "draft_vocab_size" not in raw and "layer.hidden_norm.weight" not in weights
    ):
        return HeadConfig(layer, "eagle", (LAST,))
    target_ids = _target_ids(raw, weights, target.n_vocab)
    n_known = target.n_vocab if target_ids is None else len(target_ids)
    before = raw.get("norm_before_residual", False)
    if not isinstance(before, bool):
        raise ValueError(f"norm_before_residual must be true or false, got {before!r}")
    known = replace(layer, n_vocab=n_known)
    return HeadConfig(known, "eagle3", _state_layers(raw, target.config.n_layers), before, target_ids)


def _target_ids(raw: Mapping[str, Any], weights: Mapping[str, torch.Tensor], n_vocab: int) -> tuple[int, ...] | None:
    """Return the target's id of each id of the head, from its map of offsets; None where they are the same."""
    n_known = raw.get("draft_vocab_size") or n_vocab
    if "d2t" not in weights:
        if n_known != n_vocab:
            raise ValueError(f"it knows {n_known} of {n_vocab} tokens and has no map of them, the tensor 'd2t'")
        return None
    offsets = weights["d2t"]
    if offsets.is_floating_point() or offsets.shape != (n_known,):
        raise ValueError(f"d2t must hold {n_known} whole numbers, got {tuple(offsets.shape)} {offsets.dtype}")
    ids = (torch.arange(n_known) + offsets.long()).tolist()
    if len(set(ids)) < n_known or min(ids) < 0 or max(ids) >= n_vocab:
        raise ValueError(f"d2t must name {n_known} different tokens in [0, {n_vocab}), got {min(ids)} to {max(ids)}")
    if "t2d" in weights:
        is_known = weights["t2d"]
        if is_known.shape != (n_vocab,) or is_known.bool().nonzero()[:, 0].tolist() != sorted(ids):
            raise ValueError(f"t2d must mark the {n_known} tokens of {n_vocab} that d2t names")
    return tuple(ids)


def _state_layers(raw: Mapping[str, Any], n_layers: int) -> tuple[int, ...]:
    """Return the layers whose incoming states are read; a nested list names the layers that the states come out of."""
    nested = raw.get("eagle_config")
    given, shift = raw.get("eagle_aux_hidden_state_layer_ids"), 0
    if given is None and isinstance(nested, Mapping):
        given, shift = nested.get("eagle_aux_hidden_state_layer_ids"), 1
    if given is None:
        given, shift = default_layers(n_layers), 0
    if not isinstance(given, list | tuple) or not all(type(layer) is int for layer in given) or not given:
        raise ValueError(f"eagle_aux_hidden_state_layer_ids must be whole numbers, got {given!r}")
    layers = tuple(layer + shift for layer in given)
    if min(layers) < 0 or max(layers) >= n_layers or list(layers) != sorted(set(layers)):
        raise ValueError(f"it reads the states that enter layers {layers}, rising ones of the target's {n_layers}")
    return layers
