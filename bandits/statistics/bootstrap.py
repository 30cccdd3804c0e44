"""The bootstrap: draws units with replacement and gives intervals of whatever is computed from the draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bandits import checks
from bandits.checks import Float64, Int64
from bandits.seeds import SeedTree
from bandits.statistics.estimate import Estimate

COUNTS_AT_ONCE = 2_000_000  # 16 MB
MOST_UNITS = 20_000  # drawn one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """A bootstrap over units that are independent: queries, texts, pairs of timings.

        sums = Bootstrap().sums(per_query)                       # (1 + B, c)
        gain = Bootstrap().estimate((sums[:, 0] - sums[:, 1]) / len(per_query), len(per_query))  # drawn together
        speedup = Bootstrap().ratio_of_sums(seconds_without, seconds_with)

    Line 0 of what `sums` and `two_way_sums` return is of the data itself, the others are of the B resamples. All
    columns of a call share their draws, so that differences are paired and the sums of a ratio are drawn together.

    Intervals are expanded percentiles: resampled figures are moved away from line 0,

        t / z * sqrt(n / (n - 1)) times as far,  t with n - 1 degrees of freedom, z the normal quantile, n units,

    so that few units give Student's width. Plain percentiles are as narrow as if the variance were known, and 1 / n
    narrower than that. One unit's are left as they are.

    Above 20,000 units `sums` draws groups of equally many units, put together at random, 10,000 to 20,000 of them: the
    time of a resample then stops growing. Groups as units change a width by 0.7 % at most (1 / sqrt(2 * groups), its
    standard error), a third of what 2,000 resamples instead of very many do.

    Args:
        n_resamples: B >= 1.
        confidence: in (0, 1).
        seed: of the draws, >= 0; units in one number and order get the same draws.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 8 (clusters) and 13 (percentiles);
    Hesterberg 2015, What Teachers Should Know About the Bootstrap, section 4.2 (narrowness bias).
    """

    n_resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        checks.at_least(self.n_resamples, 1, "n_resamples")
        checks.share(self.confidence, "confidence")
        SeedTree(self.seed)  # checks it

    def draws(self, n_units: int) -> Int64:
        """Return (B, n_units) int64, the units of each resample; for statistics that are not made of sums."""
        return np.random.default_rng(self.seed).integers(n_units, size=(self.n_resamples, n_units))

    def sums(self, per_unit: Float64) -> Float64:
        """Return (1 + B, c) float64: sums of per_unit (q, c) over the units and over those of each resample."""
        rng = np.random.default_rng(self.seed)
        sums = np.empty((1 + self.n_resamples, per_unit.shape[1]))
        sums[0] = per_unit.sum(axis=0)
        if len(per_unit) > MOST_UNITS:
            per_unit = _grouped(per_unit, rng)
        for block in _blocks(self.n_resamples, len(per_unit)):
            counts = _draw_counts(block.stop - block.start, len(per_unit), rng)
            sums[1 + block.start : 1 + block.stop] = counts @ per_unit
        return sums

    def two_way_sums(self, per_group: Sequence[Float64], units: Sequence[Int64], n_units: int) -> Float64:
        """Return (1 + B, c) float64: sums over groups and units, both drawn with replacement, independently.

        Args:
            per_group: for each group (a seed, say) (t, c) float64, sums by unit.
            units: for each group (t,) int64 in [0, n_units), the units of its lines.
            n_units: how many units there are to draw from.

        Source: Owen 2007, The pigeonhole bootstrap (arXiv:0712.1111), equation 3.
        """
        n_lines = 1 + self.n_resamples
        sums = np.zeros((n_lines, per_group[0].shape[1]))
        tree = SeedTree(self.seed).child("bootstrap")
        unit_rng, group_rng = tree.rng("queries"), tree.rng("seeds")
        for block in _blocks(n_lines, n_units):
            n = block.stop - block.start
            unit_counts = _draw_counts(n, n_units, unit_rng)
            group_counts = _draw_counts(n, len(per_group), group_rng)
            if block.start == 0:
                unit_counts[0], group_counts[0] = 1, 1
            for group, (lines, own) in enumerate(zip(per_group, units, strict=True)):
                sums[block] += group_counts[:, group, None] * (unit_counts[:, own] @ lines)
        return sums

    def estimate(self, figures: Float64, n_units: int) -> Estimate:
        """Return the first of (1 + B,) figures, made from draws of `n_units` units, with the interval of the others."""
        return self.estimates(figures[:, None], n_units)[0]

    def ratio_of_sums(self, numerators: Float64, denominators: Float64) -> Estimate:
        """Return sum(numerators) / sum(denominators) with its interval over units, both sums drawn together.

        Args:
            numerators: (n,) float64, one a unit.
            denominators: (n,) float64, of the same units; resamples in which they sum to 0 are left out.

        Raises:
            ValueError: if the denominators sum to 0 or less, or their number is not that of the numerators.
        """
        if np.shape(numerators) != np.shape(denominators):
            shapes = f"{np.shape(numerators)} and {np.shape(denominators)}"
            raise ValueError(f"numerators and denominators must be of the same units, got shapes {shapes}")
        above, below = self.sums(np.stack([numerators, denominators], axis=1)).T
        if not below[0] > 0:
            raise ValueError(f"denominators must sum to more than 0, got {below[0]}: leave this ratio out")
        return self.estimate(np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0), len(numerators))

    def estimates(self, figures: Float64, n_units: int) -> list[Estimate]:
        """Return `estimate` of each column of (1 + B, c); resamples in which a figure is NaN are left out."""
        quantile = np.nanquantile if np.isnan(figures[1:]).any() else np.quantile
        tail = (1 - self.confidence) / 2
        low, high = figures[0] + self._stretch(n_units) * (quantile(figures[1:], [tail, 1 - tail], axis=0) - figures[0])
        columns = zip(figures[0].tolist(), low.tolist(), high.tolist(), strict=True)
        return [Estimate(*column) for column in columns]

    def normal_estimate(self, figures: Float64, n_units: int) -> Estimate:
        """Return the first of (1 + B,) figures, plus and minus Student's quantile times the others' deviation.

        For a confidence so near 1 that B resamples show no percentile of it; NaN resamples are left out.
        """
        from scipy.special import stdtrit  # slow to import

        quantile = float(stdtrit(max(n_units - 1, 1), (1 + self.confidence) / 2))
        spread = quantile * float(np.nanstd(figures[1:])) * np.sqrt(n_units / max(n_units - 1, 1))
        return Estimate(float(figures[0]), float(figures[0] - spread), float(figures[0] + spread))

    def _stretch(self, n_units: int) -> float:
        """Return how many times as far from the value an interval of so few units ends than percentiles do."""
        from scipy.special import ndtri, stdtrit  # slow to import

        if n_units < 2:
            return 1.0
        level = (1 + self.confidence) / 2
        return float(stdtrit(n_units - 1, level) / ndtri(level) * np.sqrt(n_units / (n_units - 1)))


def resamples_for(precision: float, confidence: float = 0.95) -> int:
    """Return how many resamples make a bound's own standard error this share of the interval's width.

        B = p (1 - p) / (phi(z) * 2 z * precision)^2,  p = (1 - confidence) / 2 and z its normal quantile

    for figures that are about normal: 2,000 resamples give 1.5 % at 95 % confidence. It does not depend on the data.

    Source: David and Nagaraja 2003, Order Statistics, section 10.2 (variance of a sample quantile).
    """
    from scipy.special import ndtri  # slow to import

    tail = (1 - checks.share(confidence, "confidence")) / 2
    z = -float(ndtri(tail))
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    return int(np.ceil(tail * (1 - tail) / (density * 2 * z * checks.share(precision, "precision")) ** 2))


def sums_by_unit(values: Float64, units: Int64, n_units: int) -> Float64:
    """Return (n_units, c) float64: the rows of values (n, c) summed within each unit."""
    sums = np.zeros((n_units, values.shape[1]))
    np.add.at(sums, units, values)
    return sums


def _grouped(per_unit: Float64, rng: np.random.Generator) -> Float64:
    """Return (groups, c) float64: sums over groups of units put together at random, each as if of equally many."""
    n_units = len(per_unit)
    n_groups = n_units // -(-n_units // MOST_UNITS)
    place = rng.permutation(n_units) % n_groups
    sizes = np.bincount(place)
    columns = [np.bincount(place, column) for column in per_unit.T]
    return np.stack(columns, axis=1) * (n_units / n_groups / sizes)[:, None]


def _draw_counts(n_samples: int, n_units: int, rng: np.random.Generator) -> Float64:
    """Return (n_samples, n_units) float64: how often each unit is drawn in as many draws as there are units."""
    drawn = rng.integers(n_units, size=(n_samples, n_units)) + np.arange(n_samples)[:, None] * n_units
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)


def _blocks(n_samples: int, n_units: int) -> Iterator[slice]:
    """Yield slices that cover range(n_samples), each of so few samples that their counts take 16 MB at most."""
    step = max(1, COUNTS_AT_ONCE // n_units)
    for start in range(0, n_samples, step):
        yield slice(start, min(start + step, n_samples))
