"""Scores of batches that are summed over groups of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bandits.data.batches import N_GROUPS
from bandits.evaluation.scores import Scores
from bandits.off_policy.diagnostics import diagnosis
from bandits.off_policy.evidence import Evidence
from bandits.off_policy.terms import TermSums


class ScoreSums:
    """One candidate's scores, batch after batch; queries are numbered by their groups."""

    def __init__(self) -> None:
        self._first: Scores | None = None
        self._reward = np.zeros((N_GROUPS, 4))
        self._cost = np.zeros((N_GROUPS, 4))
        self._tested = np.zeros(N_GROUPS, np.bool_)
        self._shares, self._n_test = np.zeros(0), 0
        self._evidence: Evidence | None = None

    def add(self, scores: Scores) -> None:
        """Add the scores of a batch."""
        self._tested[scores.queries] = True
        self._reward[scores.queries] += scores.reward.stack()
        if scores.cost is not None:
            self._cost[scores.queries] += scores.cost.stack()
        own = scores.arm_shares * scores.n_test
        self._shares = own if self._first is None else self._shares + own
        self._n_test += scores.n_test
        if scores.evidence is not None:
            self._evidence = scores.evidence if self._evidence is None else self._evidence + scores.evidence
        self._first = self._first or scores

    def total(self, n_train: int, arm_names: Sequence[str]) -> Scores:
        """Return the scores of all batches; notes are those of the first."""
        first = self._first
        assert first is not None
        queries = np.flatnonzero(self._tested)
        found = None if self._evidence is None else diagnosis(self._evidence, arm_names)
        return replace(
            first,
            n_train=n_train,
            n_test=self._n_test,
            queries=queries,
            reward=TermSums.unstack(self._reward[queries]),
            cost=None if first.cost is None else TermSums.unstack(self._cost[queries]),
            arm_shares=self._shares / self._n_test,
            notes=tuple(f"in the first batch: {note}" for note in first.notes),
            problems=() if found is None else found.problems,
            effective_sample_size=None if found is None else found.effective_sample_size,
            evidence=self._evidence,
        )
