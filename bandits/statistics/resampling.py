"""Draws with replacement: how often each unit of the data counts in a bootstrap sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bandits.checks import Float64

_COUNTS_AT_ONCE = 2_000_000  # 16 MB


def draw_counts(n_samples: int, n_units: int, rng: np.random.Generator) -> Float64:
    """Return (n_samples, n_units) float64: how often each unit is drawn in as many draws as there are units."""
    drawn = rng.integers(n_units, size=(n_samples, n_units)) + np.arange(n_samples)[:, None] * n_units
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def sample_blocks(n_samples: int, n_units: int) -> Iterator[slice]:
    """Yield slices that cover range(n_samples), each of so few samples that their counts take 16 MB at most."""
    step = max(1, _COUNTS_AT_ONCE // n_units)
    for start in range(0, n_samples, step):
        yield slice(start, min(start + step, n_samples))


def resampled_sums(per_unit: Float64, n_samples: int, rng: np.random.Generator) -> Float64:
    """Return (n_samples, c) float64: sums of per_unit (q, c) over as many units drawn with replacement."""
    sums = np.empty((n_samples, per_unit.shape[1]))
    for block in sample_blocks(n_samples, len(per_unit)):
        sums[block] = draw_counts(block.stop - block.start, len(per_unit), rng) @ per_unit
    return sums
