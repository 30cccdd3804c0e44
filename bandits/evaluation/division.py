"""One division of the data: rows to learn from, and rows of other queries to score on."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np

from bandits.checks import Bool, Float64, Int64
from bandits.data.array_data import Data
from bandits.data.full_information_data import FullInformationData
from bandits.data.splits import n_test_queries, query_numbers, query_ranks
from bandits.evaluation.settings import ComparisonSettings
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import TermSums
from bandits.policies.policy import Policy
from bandits.seeds import SeedTree
from bandits.statistics.bootstrap import sums_by_unit


class Division:
    """Training and test rows that share no query.

    Attributes:
        train: what policies learn from.
        test: rows to score on: those of tested queries, on full information only the ones that observe every arm.
        queries: (t,) int64, the test queries' numbers in the whole data.

    Args:
        data: all rows.
        ranks: (n,) int64, the same for rows of one query: below 0 where it is tested, else its place among the
            training queries.
        units: (n,) int64, what takes the place of the queries' numbers in `queries`: groups of queries; None for none.

    Raises:
        ValueError: if no tested row observes every arm.
    """

    def __init__(self, data: Data, ranks: Int64, units: Int64 | None = None) -> None:
        query = query_numbers(data) if units is None else units
        tested = ranks < 0
        scored = tested & data.complete if isinstance(data, FullInformationData) else tested
        if not scored.any():
            raise ValueError("no tested row observes every arm, so no exact value exists")
        self.train: Data = data.subset(~tested)
        self.test: Data = data.subset(scored)
        self.queries, self._place = np.unique(query[scored], return_inverse=True)
        self._train_rank = ranks[~tested]
        self._n_train = len(np.unique(ranks[~tested]))
        self._asked: tuple[OffPolicyProblem, OffPolicyProblem | None] | None = None

    @classmethod
    def random(cls, data: Data, settings: ComparisonSettings, tree: SeedTree) -> Division:
        """Return a random division of the queries, drawn from the tree.

        Raises:
            ValueError: if there are fewer than two queries, or no tested row observes every arm.
        """
        ranks = query_ranks(data, tree.rng("split"))
        n_test = n_test_queries(int(ranks.max()) + 1, settings.test_share)
        try:
            division = cls(data, ranks - n_test)
        except ValueError as error:
            raise ValueError(f"seed {tree.seed}: {error}") from error
        if settings.logging_policy is not None:
            division.show_feedback_of(settings.logging_policy, tree.rng("logging"))
        return division

    def show_feedback_of(self, logging_policy: Policy, rng: np.random.Generator) -> None:
        """Replace the training rows, if they are full information, by the log that the policy would have written."""
        if isinstance(self.train, FullInformationData):
            self.train = self.train.log_with(copy.deepcopy(logging_policy), rng)

    def train_data(self, share: float) -> Data:
        """Return the rows of the first `share` of the training queries."""
        kept: Bool = self._train_rank < math.ceil(share * self._n_train)
        return self.train if kept.all() else self.train.subset(kept)

    def questions(self, problem: OffPolicyProblem) -> tuple[OffPolicyProblem, OffPolicyProblem | None]:
        """Return a question about the test log, and the same about its costs; all share what reward models predict."""
        if self._asked is None:
            log, chosen = problem.log, problem.probabilities
            priced = None if log.costs is None else OffPolicyProblem(replace(log, rewards=log.costs), chosen)
            self._asked = problem, priced
            return self._asked
        first, priced = self._asked
        return first.about(problem.probabilities), None if priced is None else priced.about(problem.probabilities)

    def mean_sums(self, values: Float64, weights: Float64 | None = None) -> TermSums:
        """Return the sums by query (t,) of a plain mean of values (n,) of the test rows."""
        each = np.ones(len(values)) if weights is None else weights
        counts = np.bincount(self._place, each).astype(np.float64)
        total = np.bincount(self._place, each * values).astype(np.float64)
        return TermSums(total, counts, counts, np.zeros(len(counts)))

    def query_sums(self, by_row: TermSums) -> TermSums:
        """Return sums (t,) by test query of sums (n,) by test row."""
        return TermSums.unstack(sums_by_unit(by_row.stack(), self._place, len(self.queries)))
