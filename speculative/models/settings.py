"""How a model is held and computed: the settings that every load takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from speculative.models.kernels.plan import SAFE_PLAN, KernelPlan, Packing

DEFAULT_CACHE = Path.home() / ".cache" / "draftpick"
WeightPrecision = Literal["auto", "dense", "int4", "int4_fast", "int4_all", "fp8"]
GraphUse = Literal["auto", "on", "off"]
DtypeName = Literal["auto", "float32", "bfloat16", "float16"]
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# compute capabilities of cards from which torch's kernels run
_LEAST_CAPABILITY = dict.fromkeys(("int4", "int4_fast", "int4_all"), (8, 0)) | {"fp8": (8, 9)}


def dtype_of(name: DtypeName) -> torch.dtype | Literal["auto"]:
    """Return what `ModelSettings` calls a dtype that is named in a file or on a command line."""
    return "auto" if name == "auto" else _DTYPES[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What is the same for every model that is loaded together.

    Attributes:
        dtype: of activations, KV cache and dense weights. "auto" is the fastest here on a CPU, of float32 and bfloat16;
            elsewhere the checkpoint's own.
        device: of everything.
        weights: "dense"; "auto", the faster here of dense and `int4_fast`, on a card dense; or a kind that the engine's
            own decoder computes. 4 bits, on the CPU or a card of compute capability 8.0: `int4` keeps the layers'
            matrices as a GGUF file has them, at 4 bits (Q4_0, Q4_1, Q4_K) or 8 (Q5_0, Q5_1, Q5_K, Q6_K, Q8_0), and
            rounds dense ones to 4 bits; the head has 8 bits a weight where the CPU multiplies them well and is dense
            elsewhere, the token embedding is dense. `int4_fast` adds a bfloat16 copy of the layers, at two bytes a
            weight, for prompts and wide rounds, from the width where it takes less time; where the CPU does not
            multiply bfloat16 it is `int4`. `int4_all` rounds all that has more bits, and the head, to 4: less time,
            less exact. `fp8`, on a card of compute capability 8.9, rounds weights and activations of the layers to
            8-bit floats; head and embedding are dense. How often each has the unrounded model's best token,
            `examples/benchmarks/bench_quantised.py` measures.
        cache: folder in which converted weights and measurements are kept.
        kernels: the forms of the decoder's arithmetic on the CPU: "measured", a short measurement at the first load,
            then kept; "safe", the same ones everywhere; or a plan. They differ in speed, and in rounding.
        graphs: whether the engine's own decoder runs rounds as CUDA graphs, see `Graphs`: "auto", on a card; "on",
            refused elsewhere; or "off".

    Raises:
        ValueError: if the device is not there or lacks the dtype or the kernels for the weights or for a plan, or a
            choice has another name.
    """

    dtype: torch.dtype | Literal["auto"] = torch.float32
    device: torch.device | str = "cpu"
    weights: WeightPrecision = "dense"
    cache: str | Path = DEFAULT_CACHE
    kernels: KernelPlan | Literal["measured", "safe"] = "measured"
    graphs: GraphUse = "auto"

    def __post_init__(self) -> None:
        _check_device(self.device)
        if not isinstance(self.dtype, torch.dtype) and self.dtype != "auto":
            raise ValueError(f"dtype must be a torch.dtype or 'auto', got {self.dtype!r}")
        if self.dtype != "auto":
            _check_dtype(self.dtype, torch.device(self.device))
        if not isinstance(self.kernels, KernelPlan) and self.kernels not in ("measured", "safe"):
            raise ValueError(f"kernels must be 'measured', 'safe' or a KernelPlan, got {self.kernels!r}")
        if self.weights not in get_args(WeightPrecision):
            raise ValueError(f"weights must be one of {get_args(WeightPrecision)}, got {self.weights!r}")
        _check_weights(self.weights, torch.device(self.device))
        _check_graphs(self.graphs, torch.device(self.device))
        if isinstance(self.kernels, KernelPlan) and not self.on_cpu:
            _check_packing(self.kernels.packing, self.device)

    @property
    def packed(self) -> Literal["int4", "int4_all"] | None:
        """The form of the blocks that are kept on the disk; None for weights that are not kept in blocks."""
        if self.weights in ("dense", "fp8"):
            return None
        return "int4_all" if self.weights == "int4_all" else "int4"

    @property
    def is_settled(self) -> bool:
        """Whether dtype, weights and kernels are said, none left to a measurement."""
        return self.dtype != "auto" and self.weights != "auto" and isinstance(self.kernels, KernelPlan)

    @property
    def known_dtype(self) -> torch.dtype:
        """The dtype, where it is said.

        Raises:
            ValueError: if it is left to a measurement.
        """
        if isinstance(self.dtype, torch.dtype):
            return self.dtype
        raise ValueError("dtype must be a torch.dtype here, got 'auto'; load_model settles it, or name one")

    @property
    def on_cpu(self) -> bool:
        """Whether models are held on the CPU."""
        return torch.device(self.device).type == "cpu"


def _check_device(device: torch.device | str) -> None:
    """Reject a device that this machine or this build of torch does not have."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {str(device)!r} cannot be used here ({reason}); name another, such as cpu") from error


def _check_graphs(graphs: GraphUse, device: torch.device) -> None:
    """Reject graphs that are asked for where there are none."""
    if graphs not in get_args(GraphUse):
        raise ValueError(f"graphs must be one of {get_args(GraphUse)}, got {graphs!r}")
    if graphs == "on" and device.type != "cuda":
        raise ValueError(f"graphs must be 'auto' or 'off' on device {str(device)!r}, which has none, got 'on'")


def _check_dtype(dtype: torch.dtype, device: torch.device) -> None:
    """Reject a dtype that no model is computed in, or that a card has no arithmetic for."""
    known = (*_DTYPES.values(), torch.float64)
    if dtype not in known:
        raise ValueError(f"dtype must be one of {', '.join(map(str, known))}, got {dtype}")
    if device.type == "cuda" and dtype == torch.bfloat16 and not torch.cuda.is_bf16_supported(False):
        card = torch.cuda.get_device_name(device)
        raise ValueError(f"dtype torch.bfloat16 is not to be had on {device}, {card}; use float16 or float32 there")


def has_kernel(weights: WeightPrecision, device: torch.device | str) -> bool:
    """Whether torch multiplies by such weights on a device."""
    place = torch.device(device)
    if place.type != "cuda":
        return weights in ("dense", "auto") or (place.type == "cpu" and weights != "fp8")
    return torch.cuda.get_device_capability(place) >= _LEAST_CAPABILITY.get(weights, (0, 0))


def _check_weights(weights: WeightPrecision, device: torch.device) -> None:
    """Reject weights that no kernel multiplies by on a device."""
    if has_kernel(weights, device):
        return
    major, minor = _LEAST_CAPABILITY[weights]
    needs = f"{'' if weights == 'fp8' else 'the CPU or '}a CUDA card of compute capability {major}.{minor} or above"
    found = f"device {str(device)!r}"
    if device.type == "cuda":
        capability = ".".join(map(str, torch.cuda.get_device_capability(device)))
        found += f", {torch.cuda.get_device_name(device)}, of {capability}"
    raise ValueError(f"weights={weights!r} need {needs}, got {found}; use weights='dense' there")


def _check_packing(packing: Packing, device: torch.device | str) -> None:
    """Reject a layout of oneDNN's that was asked for where oneDNN does not multiply; a plan's own is none asked for."""
    known: tuple[Packing, ...] = ("plain", SAFE_PLAN.packing)
    if packing not in known:
        raise ValueError(
            f"packing must be one of {known} on device {str(device)!r}, where weights stay as they are, got {packing!r}"
        )


DEFAULT_SETTINGS = ModelSettings()
"""float32 on the CPU, dense weights, the usual cache."""
