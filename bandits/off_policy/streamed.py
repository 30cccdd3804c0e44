"""Off-policy terms of a log that is read in batches: sums over groups of queries, however many rows there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bandits.checks import Float64, Int64
from bandits.data.batches import N_GROUPS, full_batches, group_numbers, query_keys
from bandits.data.data_stream import DataStream
from bandits.data.logged_data import LoggedData
from bandits.off_policy.diagnostics import Diagnostics, diagnosis
from bandits.off_policy.estimators import OffPolicyEstimator
from bandits.off_policy.evidence import Evidence, evidence_of
from bandits.off_policy.problem import Bounds, OffPolicyProblem
from bandits.off_policy.terms import LARGEST, Terms, lacking_squares
from bandits.policies.policy import Policy


@dataclass(frozen=True, slots=True)
class AskedTerms:
    """What the rows of a log amount to.

    Attributes:
        terms: an estimator each, a row a row of the log or a group of queries; or why it is not defined.
        diagnostics: of the whole log.
        estimated: whether propensities were estimated.
    """

    terms: list[Terms | str]
    diagnostics: Diagnostics
    estimated: bool


def streamed_terms(
    policy: Policy,
    stream: DataStream[LoggedData],
    estimators: Sequence[OffPolicyEstimator],
    bounds: Bounds,
) -> AskedTerms:
    """Return the terms of each estimator, batch by batch; memory holds a batch and the sums.

    Every batch is asked as a log of its own, so a reward model is fitted to each. Queries are summed in groups, drawn
    by their ids, whose sums vary as those of so many queries would.

    Raises:
        ValueError: if policy and log do not fit.
    """
    summed: list[GroupedTerms | str] = [_start(estimator) for estimator in estimators]
    evidence: Evidence | None = None
    estimated, first_row = False, 0
    for batch in full_batches(stream):
        groups = group_numbers(query_keys(batch, first_row), stream.n_rows)
        try:
            problem = OffPolicyProblem.of(policy, batch, reward_range=bounds.reward_range, max_weight=bounds.max_weight)
            check_in_proportion(problem)
        except ValueError as error:
            raise ValueError(f"rows from {first_row:,} on: {error}") from error
        for place, (one, estimator) in enumerate(zip(summed, estimators, strict=True)):
            if isinstance(one, GroupedTerms):
                try:
                    one.add(estimator.terms(problem), groups)
                except ValueError as error:
                    summed[place] = f"rows from {first_row:,} on: {error}"
        own = evidence_of(problem)
        evidence = own if evidence is None else evidence + own
        estimated, first_row = estimated or batch.propensities_estimated, first_row + len(batch)
    if evidence is None:
        raise ValueError("an estimate needs at least one row, and the log holds none")
    found = [one if isinstance(one, str) else one.terms() for one in summed]
    return AskedTerms(found, diagnosis(evidence, stream.arm_names), estimated)


def check_in_proportion(problem: OffPolicyProblem) -> None:
    """Refuse weights that a ratio could only take divided by the largest of the whole log, which no batch knows."""
    largest = float(problem.weights.max())
    if largest > LARGEST:
        raise ValueError(f"weights of up to {largest:.1e} cannot be summed batch by batch: leave such rows out")


def _start(estimator: OffPolicyEstimator) -> GroupedTerms | str:
    return GroupedTerms() if estimator.by_batch else not_by_batch(estimator)


def not_by_batch(estimator: OffPolicyEstimator) -> str:
    """Return why an estimator takes no stream."""
    return (
        "what it does to a row depends on the whole log, and a stream is asked about batch by batch: load the log, or "
        f"leave {estimator.name} out"
    )


class GroupedTerms:
    """Terms of one estimator, summed over groups of queries."""

    def __init__(self) -> None:
        self._sums: Float64 = np.zeros((N_GROUPS, 5))  # as TermSums has them, and last the weights
        self._n_rows = np.zeros(N_GROUPS)
        self._heaviest = 0.0  # weight of a query, or of what a batch holds of it
        self._first: Terms | None = None

    def add(self, terms: Terms, groups: Int64) -> None:
        """Add the terms of a batch, (m,) int64 the group of each row.

        Raises:
            ValueError: if there is no term for each row.
        """
        if len(terms.row_weights) != len(groups):
            raise ValueError("the estimator leaves rows out, so its terms have no groups: load the log")
        rows = terms.by_row()
        weights = terms.weights if terms.denominator is None else terms.denominator
        columns = [rows.numerator, rows.denominator, rows.weight, rows.offset]
        columns += [] if weights is None else [terms.row_weights * weights]
        for place, column in enumerate(columns):
            self._sums[:, place] += np.bincount(groups, column, minlength=N_GROUPS)
        per_query = terms.weights_by_query()
        if per_query is not None:
            self._heaviest = max(self._heaviest, float(per_query.max()))
        self._n_rows += np.bincount(groups, minlength=N_GROUPS)
        self._first = self._first or terms

    def terms(self) -> Terms:
        """Return terms with a row a group; what else is said of them is said of the first batch's."""
        first, sums = self._first, self._sums[self._n_rows > 0]
        assert first is not None
        weight = sums[:, 2].copy()
        lacking = lacking_squares(float(weight.sum() - sums[:, 4].sum()), self._heaviest)
        sums[weight > 0] /= weight[weight > 0, None]  # those of groups that do not count are 0
        numerator, denominator, _, offset, importance = sums.T
        ratio = first.denominator is not None
        alike = isinstance(first.range, str) or np.ptp(weight) == 0
        return Terms(
            numerator,
            weight,
            np.arange(len(sums)),
            denominator if ratio else None,
            None if first.offset is None else offset,
            None if first.weights is None else importance,
            lacking,
            range=first.range if alike else "a stream's queries are summed in groups of unlike size: load the log",
            reward_range=first.reward_range,
            biased=first.biased,
            notes=tuple(f"in the first batch: {note}" for note in first.notes),
        )
