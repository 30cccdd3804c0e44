"""Load a checkpoint folder into transformers' own model, once it is seen to be whole and what it says."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from speculative.models.adapters.quiet import quiet_transformers
from speculative.models.adapters.transformers_lm import TransformersLM, refuse_encoder
from speculative.models.fingerprint import is_finite
from speculative.models.json_file import check_regular_files, read_json_object
from speculative.models.quantised import Dequantised, dequantised, quantisation_of
from speculative.models.weight_files import read_weights

_FLOATS = {"F64", "F32", "F16", "BF16"}
# Masks and counts that old checkpoints keep, which follow from the configuration.
_TABLES = (".attn.bias", ".attention.bias", "causal_mask", "masked_bias", "position_ids", "num_batches_tracked")
# Parts of a checkpoint beside its language model, which a causal LM has no place for: other senses, extra heads.
_OTHER_PARTS = ("vision", "visual", "audio", "image", "multi_modal", "projector", "mtp", "score", "v_head")


def load_transformers_lm(
    folder: Path, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> TransformersLM:
    """Load a checkpoint folder into transformers' own model of its family.

    Raises:
        ValueError: if the folder holds no causal LM that transformers knows, or a tensor is missing, unknown, quantised
            or of another shape than the configuration says.
    """
    if not (folder / "config.json").exists():
        raise ValueError(f"{folder} holds no config.json; name a checkpoint folder, a hub id or a .gguf file")
    check_regular_files(folder)
    name = quantisation_of(read_json_object(folder / "config.json"))
    if name not in (None, "fp8"):  # transformers gives FP8 back as plain weights, and asks other packages for the rest
        raise ValueError(f"{folder}: weights quantised as {name!r} are not read; name an unquantised checkpoint")
    _check_floats(folder, ("F8_E4M3", "F8_E5M2") if name else ())
    if name is not None:
        _check_scales(folder)
    options = {"dtype": dtype, "output_loading_info": True, "ignore_mismatched_sizes": True}  # refused below, by name
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder)
            refuse_encoder(config)
            model, info = AutoModelForCausalLM.from_pretrained(folder, **options)
    except Exception as error:  # transformers raises whatever a broken checkpoint leads it to
        raise ValueError(f"{folder} cannot be loaded as a causal LM ({type(error).__name__}): {error}") from error
    _check_whole(folder, info)
    _check_finite(folder, model)
    return TransformersLM(model.to(device))


def _check_floats(folder: Path, others: tuple[str, ...]) -> None:
    """Refuse weights that are no floats: transformers would take their numbers for those of plain weights."""
    if not any(folder.glob("*.safetensors")):
        return
    for name, tensor in read_weights(folder).stored.items():
        if tensor.dtype not in {*_FLOATS, *others} and not name.endswith(_TABLES):
            raise ValueError(
                f"{tensor.file}: the tensor {name!r} must hold floats of 16 to 64 bits, got {tensor.dtype}; if it is "
                "quantised, config.json must say how"
            )


def _check_scales(folder: Path) -> None:
    """Refuse FP8 scales that transformers would take as they are: of plain weights, 0, negative or no floats."""
    weights = dequantised(read_weights(folder), read_json_object(folder / "config.json"), str(folder / "config.json"))
    if isinstance(weights, Dequantised):
        weights.check_scales()


def _check_finite(folder: Path, model: PreTrainedModel) -> None:
    for name, parameter in model.named_parameters():
        if parameter.numel() and not is_finite(parameter.detach()):
            raise ValueError(
                f"{folder}: the tensor {name!r} holds NaN or infinity as {parameter.dtype}; the checkpoint is damaged"
            )


def _check_whole(folder: Path, info: dict[str, Any]) -> None:
    """Refuse a checkpoint that transformers had to complete or to cut."""
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(f"{folder} lacks the tensor {missing[0]!r} and {len(missing) - 1} more; it is incomplete")
    for name, found, expected in sorted(info["mismatched_keys"]):
        raise ValueError(
            f"{folder}: the tensor {name!r} must have the shape {tuple(expected)} by config.json, got {tuple(found)}"
        )
    unknown = sorted(n for n in info["unexpected_keys"] if not any(part in n.lower() for part in _OTHER_PARTS))
    if unknown:
        raise ValueError(
            f"{folder} holds the tensor {unknown[0]!r} and {len(unknown) - 1} more that config.json has no place for; "
            "correct config.json or name another checkpoint"
        )
