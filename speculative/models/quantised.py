"""Quantised checkpoints: 8-bit formats turned into plain weights, all others refused by name."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

_EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e5m2, torch.int8)
_PLAIN_FORMATS = ("int-quantized", "float-quantized", "naive-quantized", "dense")


class Dequantised(Mapping[str, torch.Tensor]):
    """A checkpoint's tensors with each 8-bit weight multiplied by its scales, float32, when it is asked for.

    Args:
        weights: the stored tensors by name.
        scale_suffix: what a weight's name is extended by to name its scales.
        block: rows and columns that share a scale; None where the scales' own shape says it: one number for all, or
            one a row.
    """

    def __init__(
        self, weights: Mapping[str, torch.Tensor], scale_suffix: str, block: tuple[int, int] | None = None
    ) -> None:
        self._weights, self._suffix, self._block = weights, scale_suffix, block
        self._scaled = {name for name in weights if f"{name}{scale_suffix}" in weights}
        spare = (scale_suffix, "_zero_point")
        helpers = {f"{name}{end}" for name in self._scaled for end in spare}
        # scales of activations: the model is computed with activations as they are
        activations = ("input_scale", "activation_scale")
        helpers |= {f"{name.removesuffix('weight')}{kind}" for name in self._scaled for kind in activations}
        self._names = [name for name in weights if name not in helpers]

    def __getitem__(self, name: str) -> torch.Tensor:
        """Return a plain tensor, or a weight with its scales applied.

        Raises:
            ValueError: if a weight at 8 bits has no scales, or scales that are no finite floats above 0 or of a shape
                that does not fit; or there are scales of anything but a matrix at 8 bits.
        """
        weight = self._weights[name]
        if name not in self._scaled:
            if weight.dtype in _EIGHT_BITS:
                raise ValueError(f"the tensor {name!r} has 8 bits and no scales {name + self._suffix!r}")
            return weight
        scales, numbers = self._checked_scales(name, weight), weight.float()
        if f"{name}_zero_point" in self._weights:
            numbers = numbers - self._expanded(name, self._weights[f"{name}_zero_point"].float(), weight)
        return numbers * self._expanded(name, scales, weight)

    def check_scales(self) -> None:
        """Refuse scales that `__getitem__` refuses, without a weight being multiplied.

        Raises:
            ValueError: as there.
        """
        for name in sorted(self._scaled):
            weight = self._weights[name]
            self._expanded(name, self._checked_scales(name, weight), weight)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the weights, scales left out."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return the number of weights."""
        return len(self._names)

    def _checked_scales(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        given, which = self._weights[f"{name}{self._suffix}"], f"{name}{self._suffix}"
        if weight.dtype not in _EIGHT_BITS or weight.dim() != 2:
            raise ValueError(
                f"the scales {which!r} must belong to a matrix at 8 bits, got {weight.dtype} of {tuple(weight.shape)}"
            )
        scales = given.float()
        if not given.is_floating_point() or not (scales.isfinite() & (scales > 0)).all():
            raise ValueError(f"the scales {which!r} must be finite floats above 0; the checkpoint is damaged")
        return scales

    def _expanded(self, name: str, scales: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Give every weight its scale."""
        if scales.numel() == 1:
            return scales.reshape(1, 1)
        if self._block is None:
            expected: tuple[int, ...] = (len(weight), 1)
        else:
            expected = tuple(-(-n // size) for n, size in zip(weight.shape, self._block, strict=True))
        if tuple(scales.shape) != expected and not (self._block is None and tuple(scales.shape) == expected[:1]):
            raise ValueError(f"the scales of {name!r} must have the shape {expected}, got {tuple(scales.shape)}")
        if self._block is None:
            return scales.reshape(-1, 1)
        rows = scales.repeat_interleave(self._block[0], 0)[: weight.shape[0]]
        return rows.repeat_interleave(self._block[1], 1)[:, : weight.shape[1]]


def quantisation_of(config: Mapping[str, Any]) -> str | None:
    """Return the name of the format that a configuration says its weights are quantised in; None for none.

    What is there, and no name, is a format as well: `{}` is refused as transformers refuses it.
    """
    found = _settings(config, "quantization_config", "compression_config", "quantization")
    if found is None:
        return None
    if not isinstance(found, dict):
        return str(found) or "an unnamed one"
    method = found.get("quant_method")
    if method is None:
        return "MLX" if {"bits", "group_size"} <= found.keys() else "an unnamed one"
    if method == "compressed-tensors":
        return f"compressed-tensors {found.get('format')}"
    return str(method)


def _settings(config: Mapping[str, Any], *keys: str) -> Any:
    return next((config[key] for key in keys if config.get(key) is not None), None)


def dequantised(
    weights: Mapping[str, torch.Tensor], config: Mapping[str, Any], source: str
) -> Mapping[str, torch.Tensor]:
    """Return plain weights of a checkpoint, whatever 8-bit format its configuration names.

    Read are FP8 with a scale a block or a tensor, and the formats of compressed-tensors that keep each weight in 8
    bits with a scale a row or a tensor (W8A8). Activations are not rounded: the text is the dequantised weights'.

    Args:
        weights: the stored tensors by name.
        config: the checkpoint's configuration.
        source: names it.

    Raises:
        ValueError: if the weights are in another format.
    """
    name = quantisation_of(config)
    if name is None:
        return weights
    settings = _settings(config, "quantization_config", "compression_config")
    if isinstance(settings, dict) and name == "fp8":
        return Dequantised(weights, "_scale_inv", _block_size(settings.get("weight_block_size"), source))
    if isinstance(settings, dict) and _is_plain_compressed(settings):
        return Dequantised(weights, "_scale")
    raise ValueError(
        f"{source}: weights quantised as {name!r} are not read; read are fp8 and compressed-tensors of 8 bits with a "
        "scale a row or a tensor; name an unquantised checkpoint or a .gguf file"
    )


def _block_size(value: object, source: str) -> tuple[int, int] | None:
    if value is None:
        return None
    match value:
        case [int(rows), int(columns)] if rows >= 1 and columns >= 1:
            return rows, columns
    raise ValueError(f"{source}: weight_block_size must be two whole numbers >= 1, got {value!r}")


def _is_plain_compressed(settings: Mapping[str, Any]) -> bool:
    """Whether compressed-tensors keeps each weight apart, in 8 bits, untransformed, with a scale a row or a tensor."""
    if settings.get("quant_method") != "compressed-tensors" or settings.get("format") not in _PLAIN_FORMATS:
        return False
    sparsity, groups = settings.get("sparsity_config") or {}, settings.get("config_groups") or {}
    if not isinstance(sparsity, dict) or not isinstance(groups, dict) or settings.get("transform_config"):
        return False
    weights = [group["weights"] for group in groups.values() if isinstance(group, dict) and "weights" in group]
    if sparsity.get("format", "dense") != "dense" or not all(isinstance(w, dict) for w in weights):
        return False
    return all(w.get("num_bits", 8) == 8 and w.get("strategy", "channel") in ("channel", "tensor") for w in weights)
