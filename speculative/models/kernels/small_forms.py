"""The forms of norms and rotations that are timed against each other."""

from collections.abc import Callable

import torch

from speculative.models.kernels.layer_shapes import LayerShapes
from speculative.models.kernels.norm import NORMS, RmsNorm
from speculative.models.kernels.plan import Norm, Rotation
from speculative.models.kernels.rotation import ROTATIONS, Rotate
from speculative.models.kernels.trial import Seconds, Timer, Trial, time_trials

_ROWS = (1, 8)
_N_CALLS = 50  # a trial: one call takes microseconds


def time_small_forms(
    shapes: LayerShapes, dtype: torch.dtype, timer: Timer, budget_s: float
) -> tuple[dict[Norm, float], dict[Rotation, float]]:
    """Time norms and rotations; seconds of one call, the mean of one row and of eight.

    Args:
        shapes: of the model.
        dtype: of its activations.
        timer: of one trial.
        budget_s: see `time_trials`.
    """
    trials = []
    for n in _ROWS:
        trials += [Trial(name, n, _norms(norm, shapes, n, dtype)) for name, norm in NORMS.items()]
        trials += [Trial(name, n, _rotations(rotate, shapes, n, dtype)) for name, rotate in ROTATIONS.items()]
    seconds = time_trials(trials, timer, budget_s)
    return {name: _mean(seconds, name) for name in NORMS}, {name: _mean(seconds, name) for name in ROTATIONS}


def _mean(seconds: Seconds, form: str) -> float:
    return sum(seconds[form].values()) / (len(_ROWS) * _N_CALLS)


def _norms(norm: RmsNorm, shapes: LayerShapes, n_rows: int, dtype: torch.dtype) -> Callable[[], None]:
    x, gain = torch.ones(n_rows, shapes.n_features, dtype=dtype), torch.ones(shapes.n_features, dtype=dtype)

    def run() -> None:
        for _ in range(_N_CALLS):
            norm(x, gain, 1e-5)

    return run


def _rotations(rotate: Rotate, shapes: LayerShapes, n_rows: int, dtype: torch.dtype) -> Callable[[], None]:
    heads = torch.ones(n_rows, shapes.n_heads, shapes.head_dim, dtype=dtype)
    rotations = torch.ones(n_rows, 1, shapes.head_dim // 2, dtype=torch.complex64)

    def run() -> None:
        for _ in range(_N_CALLS):
            rotate(heads, rotations)

    return run
