"""From what every candidate earned on every row to values, differences and regrets with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np

from bandits.checks import Float64, Int64
from bandits.evaluation.conclusion import Conclusion, conclude
from bandits.evaluation.rolling_result import RollingPoint, RollingRow
from bandits.statistics.bootstrap import Bootstrap
from bandits.statistics.estimate import Estimate


@dataclass(frozen=True, slots=True, eq=False)
class RollingCandidate:
    """What a policy, its frozen copy or the best fixed arm earned.

    Attributes:
        name: of its row.
        kind: of its row.
        earned: for each seed (n,) float64, on each row; 0 where it did not choose.
        n_learned: of its row.
        frozen: place of a policy's frozen copy among the candidates.
        problems: of its row.
    """

    name: str
    kind: Literal["policy", "frozen", "fixed"]
    earned: tuple[Float64, ...]
    n_learned: float | None = None
    frozen: int | None = None
    problems: tuple[str, ...] = ()


class RollingFigures:
    """Means of every candidate over any windows, from the data and from resamples of seeds and blocks.

    Args:
        candidates: the best fixed arm last.
        best: (n,) float64, what the best arm of each row's window brings.
        weights: (n,) float64 >= 0, how many rows each stands for.
        edges: (w + 1,) int64, rows at which windows begin, and n.
        bootstrap: of the intervals.
    """

    def __init__(
        self,
        candidates: Sequence[RollingCandidate],
        best: Float64,
        weights: Float64,
        edges: Int64,
        bootstrap: Bootstrap,
    ) -> None:
        self._candidates, self._bootstrap, self._edges, self._weights = candidates, bootstrap, edges, weights
        starts = [
            np.linspace(low, high, round((high - low) ** 0.5), endpoint=False).astype(np.int64)
            for low, high in pairwise(edges.tolist())
        ]
        self._n_blocks = [len(own) for own in starts]
        self._by_seed = []
        for earned in zip(*(candidate.earned for candidate in candidates), strict=True):
            columns = weights[:, None] * np.stack([np.ones(len(weights)), *earned, best], axis=1)
            self._by_seed.append(np.add.reduceat(columns, np.concatenate(starts)))

    def rows(self, n_first: int) -> tuple[RollingRow, ...]:
        """Return the lines of the table, of the windows after the first ones."""
        means, estimate = self._means(n_first, len(self._n_blocks))
        fixed, later = len(self._candidates) - 1, slice(int(self._edges[n_first]), None)
        rows = []
        for place, one in enumerate(self._candidates):
            value = estimate(means[:, place])
            rows.append(
                RollingRow(
                    value=value.value,
                    low=value.low,
                    high=value.high,
                    name=one.name,
                    kind=one.kind,
                    difference=None if place == fixed else estimate(means[:, place] - means[:, fixed]),
                    over_frozen=None if one.frozen is None else estimate(means[:, place] - means[:, one.frozen]),
                    regret=estimate(means[:, -1] - means[:, place]),
                    n_learned=one.n_learned,
                    by_seed=tuple(float(np.average(e[later], weights=self._weights[later])) for e in one.earned),
                    problems=one.problems,
                )
            )
        return tuple(rows)

    def points(self, n_first: int) -> tuple[RollingPoint, ...]:
        """Return every candidate's value in every window, and its differences since the first part."""
        points = []
        fixed = len(self._candidates) - 1
        for window in range(len(self._n_blocks)):
            later = window >= n_first
            means, estimate = self._means(window, window + 1)
            so_far, estimate_so_far = self._means(n_first, window + 1) if later else (means, estimate)
            for place, one in enumerate(self._candidates):
                if one.kind == "frozen" and not later:
                    continue
                value = estimate(means[:, place])
                against = (fixed if later and place != fixed else None, one.frozen if later else None)
                gains = [None if o is None else estimate_so_far(so_far[:, place] - so_far[:, o]) for o in against]
                points.append(
                    RollingPoint(
                        value=value.value,
                        low=value.low,
                        high=value.high,
                        name=one.name,
                        window=window + 1,
                        regret=estimate(means[:, -1] - means[:, place]),
                        difference_so_far=gains[0],
                        over_frozen_so_far=gains[1],
                    )
                )
        return tuple(points)

    def conclusion(self, names: Sequence[str], fixed_arm: str, n_first: int) -> Conclusion:
        """Return the best of these policies against the best fixed arm, after the first part."""
        means, estimate = self._means(n_first, len(self._n_blocks))
        places = {one.name: place for place, one in enumerate(self._candidates)}
        own = means[:, [places[name] for name in names]]
        found = conclude(names, own, means[:, len(places) - 1], (fixed_arm,), "reward", estimate)
        compared = (self._candidates[places[found.policy]], self._candidates[-1])
        return replace(found, supported=not any(one.problems for one in compared))

    def _means(self, first: int, last: int) -> tuple[Float64, partial[Estimate]]:
        """Return (1 + B, c + 1) float64 over windows [first, last), and what makes a figure of it an estimate."""
        low, high = sum(self._n_blocks[:first]), sum(self._n_blocks[:last])
        blocks = [sums[low:high] for sums in self._by_seed]
        n_units = high - low
        drawn = self._bootstrap.two_way_sums(blocks, [np.arange(n_units)] * len(blocks), n_units)
        counts = np.where(drawn[:, :1] > 0, drawn[:, :1], np.nan)
        return drawn[:, 1:] / counts, partial(self._bootstrap.estimate, n_units=n_units)
