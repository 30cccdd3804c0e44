"""Settings as they are computed with: "auto" and "measured" settled by a short measurement, kept per machine."""

import hashlib
import json
import logging
import platform
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import torch

from arms.atomic_file import write_file
from arms.input_file import read_text
from speculative.models.int8_linear import Int8Linear
from speculative.models.kernels.choose import decoding_s, dense_seconds, fastest, fastest_dtype, plan_of, with_copy
from speculative.models.kernels.layer_shapes import LayerShapes
from speculative.models.kernels.plan import SAFE_PLAN, KernelPlan
from speculative.models.kernels.products import INT4, ProductForm, dense_forms, int4_form, time_products
from speculative.models.kernels.small_forms import time_small_forms
from speculative.models.kernels.trial import Seconds, Timer, stopwatch
from speculative.models.linear import WideInt4Linear, can_pack
from speculative.models.settings import ModelSettings, dtype_of

MIN_WEIGHTS = 2**21
"""Models of fewer weights in their layers are not measured: a pass takes what its calls take, in any form."""
_SMALL_FORMS_S = 0.15
_log = logging.getLogger(__name__)


def settle(shapes: LayerShapes, settings: ModelSettings, timer: Timer = stopwatch) -> ModelSettings:
    """Return settings with a dtype, a kind of weights and a plan, the fastest here of what they allow.

    A measurement is kept in `settings.cache / "kernels"`, for this processor, number of threads, versions, shapes and
    choice; later loads take it from there.

    Args:
        shapes: of the model.
        settings: what is allowed, for a model on the CPU.
        timer: of one trial.
    """
    if settings.is_settled:
        return settings
    if settings.kernels == "safe" or shapes.n_weights * shapes.n_layers < MIN_WEIGHTS:
        return unmeasured(settings)
    path = Path(settings.cache) / "kernels" / f"{_key(shapes, settings)}.json"
    found = _kept(path, settings)
    if found is None:
        _log.info("measuring which kernels are fastest here, once for this machine; kept in %s", path)
        found = _measured(shapes, settings, timer)
        _keep(path, found)
    return replace(found, kernels=settings.kernels) if isinstance(settings.kernels, KernelPlan) else found


def unmeasured(settings: ModelSettings, dtype: torch.dtype = torch.float32) -> ModelSettings:
    """Return settings with what holds where nothing is measured: dense weights, the dtype given, the safe plan."""
    return replace(
        settings,
        dtype=dtype if isinstance(settings.dtype, str) else settings.dtype,
        weights="dense" if settings.weights == "auto" else settings.weights,
        kernels=settings.kernels if isinstance(settings.kernels, KernelPlan) else SAFE_PLAN,
    )


def _measured(shapes: LayerShapes, settings: ModelSettings, timer: Timer) -> ModelSettings:
    """Time what the settings allow and choose."""
    dtypes = [settings.dtype] if isinstance(settings.dtype, torch.dtype) else [torch.float32]
    if settings.dtype == "auto" and _packs_halves():
        dtypes.append(torch.bfloat16)
    four_bits = settings.weights != "dense" and shapes.fits_blocks
    copied = four_bits and settings.weights in ("auto", "int4_fast") and WideInt4Linear.supported()
    forms: list[ProductForm] = []
    if settings.weights in ("auto", "dense"):
        forms = [form for dtype in dtypes for form in dense_forms(dtype)]
    if copied and torch.bfloat16 not in {form.dtype for form in forms}:
        forms += dense_forms(torch.bfloat16)
    if four_bits and (copied or settings.weights == "auto"):
        forms.append(int4_form())
    seconds = time_products(shapes, forms, timer, _budget_s(shapes)) if forms else {}
    settled = _fastest(settings, seconds, dtypes, copied)
    plan = plan_of(seconds, settled.known_dtype, four_bits=settled.weights != "dense")
    norms, rotations = time_small_forms(shapes, settled.known_dtype, timer, _SMALL_FORMS_S)
    plan = replace(plan, norm=fastest(norms, SAFE_PLAN.norm), rotation=fastest(rotations, SAFE_PLAN.rotation))
    return replace(settled, kernels=plan)


def _fastest(settings: ModelSettings, seconds: Seconds, dtypes: list[torch.dtype], copied: bool) -> ModelSettings:
    """Settle dtype and weights; 4 bits compute in float32 where the dtype is free, which costs them nothing."""
    if settings.weights not in ("auto", "dense"):
        return replace(settings, dtype=dtypes[0])
    dtype = fastest_dtype(seconds, dtypes)
    if settings.weights == "auto" and INT4 in seconds:
        blocks = with_copy(seconds[INT4], dense_seconds(seconds, torch.bfloat16)) if copied else seconds[INT4]
        rivals = {"dense": decoding_s(dense_seconds(seconds, dtype)), "int4_fast": decoding_s(blocks)}
        if fastest(rivals, "dense") == "int4_fast":
            return replace(settings, dtype=dtypes[0], weights="int4_fast")
    return replace(settings, dtype=dtype, weights="dense")


def _budget_s(shapes: LayerShapes) -> float:
    """Seconds of timing that a model is worth: about one for 135 million weights, at most 3.5."""
    return min(3.5, 0.6 + shapes.n_weights * shapes.n_layers / 3e8)


def _keep(path: Path, found: ModelSettings) -> None:
    """Write what was measured, for later loads."""
    assert isinstance(found.kernels, KernelPlan)
    dtype = str(found.dtype).removeprefix("torch.")
    record = {"dtype": dtype, "weights": found.weights, "plan": json.loads(found.kernels.to_json())}
    try:
        write_file(path, json.dumps(record, indent=1))
    except OSError as error:
        _log.warning("the measurement cannot be kept in %s and will be made again: %s", path, error)
    _log.info("fastest here: %s, %s weights: %s", dtype, found.weights, found.kernels.summary())


def _kept(path: Path, settings: ModelSettings) -> ModelSettings | None:
    """Return what an earlier load measured; None where there is nothing that can be read."""
    try:
        record = json.loads(read_text(path))
        plan = KernelPlan.from_json(json.dumps(record["plan"]))
        return replace(settings, dtype=dtype_of(record["dtype"]), weights=record["weights"], kernels=plan)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s cannot be read (%s); measuring again", path, error)
        return None


def _key(shapes: LayerShapes, settings: ModelSettings) -> str:
    """Digest of all that a plan depends on; a limit set on oneDNN shows in what it packs and multiplies exactly."""
    facts = [asdict(shapes), str(settings.dtype), settings.weights, _processor(), torch.get_num_threads()]
    facts += [_packs_halves(), WideInt4Linear.supported(), Int8Linear.supported()]
    facts += [torch.backends.cpu.get_cpu_capability(), torch.__version__, version("draftpick")]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _packs_halves() -> bool:
    return can_pack(torch.empty(0, dtype=torch.bfloat16))


def _processor() -> list[str]:
    """Model and flags of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return [platform.processor() or platform.machine()]
    return sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
