"""Intervals for scores that vary with the seed and with the query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.checks import Float64, Int64
from bandits.off_policy.terms import values_of
from bandits.seeds import SeedTree
from bandits.statistics.resampling import draw_counts, sample_blocks
from bandits.statistics.value import Estimate


class TwoWayBootstrap:
    """Draws seeds and queries with replacement, independently; every figure is taken over the same draws.

    Source: Owen 2007, The pigeonhole bootstrap (arXiv:0712.1111), equation 3.
    """

    def __init__(self, n_queries: int, seeds: tuple[int, ...], n_bootstrap: int, confidence: float) -> None:
        self._n_queries, self._n_seeds = n_queries, len(seeds)
        self._n_bootstrap = n_bootstrap
        self._tail = (1 - confidence) / 2
        self._tree = SeedTree(min(seeds)).child("bootstrap")

    def figures(self, columns: Sequence[Sequence[Float64]], tested: Sequence[Int64]) -> Float64:
        """Return (1 + B, c) float64: each candidate's estimate from the data and from each resample.

        Args:
            columns: for each candidate and seed (t, 4) float64, sums by test query as in `Terms.query_sums`.
            tested: for each seed (t,) int64, the numbers of its test queries.
        """
        n_lines = 1 + self._n_bootstrap
        sums = np.zeros((n_lines, len(columns), 4))
        queries, seeds = self._tree.rng("queries"), self._tree.rng("seeds")
        for block in sample_blocks(n_lines, self._n_queries):
            n = block.stop - block.start
            query_counts = draw_counts(n, self._n_queries, queries)
            seed_counts = draw_counts(n, self._n_seeds, seeds)
            if block.start == 0:
                query_counts[0], seed_counts[0] = 1, 1
            for seed in range(self._n_seeds):
                joined = np.concatenate([of_seed[seed] for of_seed in columns], axis=1)  # (t, 4 c)
                drawn = (query_counts[:, tested[seed]] @ joined).reshape(n, len(columns), 4)
                sums[block] += seed_counts[:, seed, None, None] * drawn
        flat = sums.reshape(-1, 4)
        defined = (flat[:, 1] > 0) & (flat[:, 2] > 0)
        values = np.full(len(flat), np.nan)
        values[defined] = values_of(flat[defined])
        return values.reshape(n_lines, len(columns))

    def estimate(self, figures: Float64) -> Estimate:
        """Return the first figure with the percentile interval of the others (resamples without any are left out)."""
        low, high = np.nanquantile(figures[1:], [self._tail, 1 - self._tail])
        return Estimate(float(figures[0]), float(low), float(high))
