"""Timing of several forms of one computation, in turn, so that a busy moment hits all alike."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

_N_ROUNDS = (3, 9)  # at least and at most, the first of which warms up


@dataclass(frozen=True, slots=True)
class Trial:
    """One form of a computation at one number of rows.

    Attributes:
        form: its name.
        n_rows: of the pass.
        run: computes it once.
    """

    form: str
    n_rows: int
    run: Callable[[], object]


Timer = Callable[[Trial], float]
"""Runs a trial once and returns the seconds that it took."""
Seconds = dict[str, dict[int, float]]
"""By form and number of rows."""


def stopwatch(trial: Trial) -> float:
    """Run a trial in wall-clock time."""
    begin = time.perf_counter()
    trial.run()
    return time.perf_counter() - begin


@torch.inference_mode()
def time_trials(trials: Sequence[Trial], timer: Timer, budget_s: float) -> Seconds:
    """Run all trials round after round and return the median of each.

    Args:
        trials: in the order of a round.
        timer: of one.
        budget_s: no round begins once the timed seconds have reached it, but for the first three.
    """
    runs: list[list[float]] = []
    while len(runs) < _N_ROUNDS[0] or (len(runs) < _N_ROUNDS[1] and sum(map(sum, runs)) < budget_s):
        runs.append([timer(trial) for trial in trials])
    found: Seconds = {}
    for trial, seconds in zip(trials, zip(*runs[1:], strict=True), strict=True):
        found.setdefault(trial.form, {})[trial.n_rows] = statistics.median(seconds)
    return found
