"""Segments of the queries, by their `domains`: the best arm of each, and what policies earn in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bandits.checks import Float64, Int64
from bandits.data.array_data import Data
from bandits.data.logged_data import LoggedData
from bandits.data.splits import query_numbers
from bandits.evaluation.objective import Objective, fixed_policy
from bandits.off_policy.by_segment import NO_SEGMENT
from bandits.off_policy.terms import TermSums
from bandits.statistics.bootstrap import Bootstrap
from bandits.statistics.estimate import Estimate
from bandits.statistics.table import Table

MIN_QUERIES = 10  # tested ones of a segment, with fewer of which it gets no line: no interval would hold
_RESAMPLES = 200  # enough for a standard error


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRow(Estimate):
    """What one policy earns on the tested queries of one segment.

    Attributes:
        name: of the policy, or "best arm by segment".
        segment: the label in `domains`.
        n_queries: tested queries of the segment, each counted once.
        value: mean reward.
        low: lower bound of its interval.
        high: upper bound of its interval.
        difference: value minus that of the arm that was best on all training data. All intervals are value plus and
            minus Student's quantile times the standard error, at 1 - (1 - confidence) / number of lines: Bonferroni's
            correction, so that with the stated confidence no interval of the table misses.
    """

    name: str
    segment: str
    n_queries: int
    difference: Estimate


def segments_of(data: Data) -> tuple[str | None, ...] | None:
    """Return the label of each row; None where the data hold fewer than two different ones."""
    labels = data.domains
    return labels if labels is not None and len(set(labels)) > 1 else None


def arms_by_segment(train: Data, test: Data, objective: Objective) -> Float64:
    """Return probability 1 for the available arm that was best on the training rows of a test row's segment, (n, k).

    A segment that no training row has, or of which none shows an arm that is available, gets the arm that is best on
    all of them.

    Args:
        train: labelled rows to learn from.
        test: labelled rows, with the same arms.
        objective: as in `best_fixed_arm`.
    """
    rows: dict[str | None, list[int]] = {}
    for row, label in enumerate(train.domains or ()):
        rows.setdefault(label, []).append(row)
    everywhere = fixed_policy(train, objective).mean_rewards()
    by_label = {label: fixed_policy(train.subset(own), objective).mean_rewards() for label, own in rows.items()}
    means = np.stack([by_label.get(label, everywhere) for label in test.domains or ()])
    if isinstance(test, LoggedData) and test.available is not None:
        means = np.where(test.available, means, -np.inf)
        lowest = np.nan_to_num(everywhere, neginf=np.finfo(np.float64).min)
        shown = np.isfinite(means).any(axis=1, keepdims=True)
        means = np.where(shown, means, np.where(test.available, lowest, -np.inf))
    return np.asarray(np.eye(test.n_arms)[means.argmax(axis=1)])


def query_segments(data: Data) -> tuple[str, ...] | None:
    """Return the label of each query, that of its first row; "(none)" without one; None as in `segments_of`."""
    labels = segments_of(data)
    if labels is None:
        return None
    _, first = np.unique(query_numbers(data), return_index=True)
    return tuple(labels[row] or NO_SEGMENT for row in first.tolist())


def segment_rows(
    named: Mapping[str, Sequence[TermSums]],
    fixed: Sequence[TermSums],
    tested: Sequence[Int64],
    segments: Sequence[str],
    bootstrap: Bootstrap,
) -> tuple[SegmentRow, ...]:
    """Return a line for each segment of at least `MIN_QUERIES` tested queries, the largest first, and each policy.

    Args:
        named: each policy's sums by tested query (t,), a division each.
        fixed: the same of the best fixed arm.
        tested: (t,) int64, the tested queries of each division.
        segments: of each query.
        bootstrap: of divisions and queries.
    """
    labels, place = np.unique(np.array(segments, dtype=object), return_inverse=True)
    everyone = np.unique(np.concatenate(tested))
    sizes = np.bincount(place[everyone], minlength=len(labels))
    large = [int(one) for one in np.argsort(-sizes, kind="stable") if sizes[one] >= MIN_QUERIES]
    confidence = 1 - (1 - bootstrap.confidence) / max(len(large) * len(named), 1)
    few = replace(bootstrap, n_resamples=min(bootstrap.n_resamples, _RESAMPLES), confidence=confidence)
    rows = []
    for segment in large:
        label, size = str(labels[segment]), int(sizes[segment])
        members = everyone[place[everyone] == segment]
        own = [place[queries] == segment for queries in tested]
        lines = [
            np.concatenate([sums[division].stack()[kept] for sums in (*named.values(), fixed)], axis=1)
            for division, kept in enumerate(own)
        ]
        units = [np.searchsorted(members, queries[kept]) for queries, kept in zip(tested, own, strict=True)]
        drawn = few.two_way_sums(lines, units, size).reshape(1 + few.n_resamples, -1, 4)
        values = TermSums.unstack(drawn).values
        for column, name in enumerate(named):
            if not np.isfinite(values[0, [column, -1]]).all():  # a log on which it is 0 / 0
                continue
            value = few.normal_estimate(values[:, column], size)
            less = few.normal_estimate(values[:, column] - values[:, -1], size)
            rows.append(
                SegmentRow(
                    value=value.value,
                    low=value.low,
                    high=value.high,
                    name=name,
                    segment=label,
                    n_queries=size,
                    difference=less,
                )
            )
    return tuple(rows)


def segment_table(rows: Sequence[SegmentRow], confidence: float) -> Table:
    """Return one line a segment and policy; a star marks a difference whose interval leaves zero out.

    Raises:
        ValueError: if there are no rows: the data hold no two segments that are large enough.
    """
    if not rows:
        raise ValueError(
            f"a table by segment needs two domains in the data, and {MIN_QUERIES} tested queries of one: there are none"
        )
    starts = [index for index in range(1, len(rows)) if rows[index].segment != rows[index - 1].segment]
    return Table(
        title=f"by segment, {confidence:.0%} intervals for all {len(rows)} lines together",
        headings=("segment", "queries", "name", "value", "minus best fixed arm", ""),
        lines=tuple(
            (row.segment, str(row.n_queries), row.name, str(row), str(row.difference), _star(row)) for row in rows
        ),
        sections=frozenset(starts),
        remarks=(
            f"intervals are Bonferroni's for {len(rows)} lines: Student's quantile times the standard error",
            f"a segment with fewer than {MIN_QUERIES} tested queries has no line",
        ),
        left=frozenset({"name"}),
    )


def _star(row: SegmentRow) -> str:
    return "*" if row.difference.low > 0 or row.difference.high < 0 else ""
