"""From the scores of every seed to the rows, curves and conclusion of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bandits.checks import Float64
from bandits.evaluation.comparison import UNSUPPORTED, ComparisonRow, CurvePoint, RefusedRow
from bandits.evaluation.conclusion import Conclusion, conclude
from bandits.evaluation.objective import Objective
from bandits.evaluation.scores import BEST_FIXED, Candidate, RefusedScores, Scores
from bandits.evaluation.segments import SegmentRow, segment_rows
from bandits.off_policy.terms import TermSums
from bandits.statistics.bootstrap import Bootstrap

_ORDER = ("policy", "fixed", "segment", "arm", "oracle", "log")


@dataclass(frozen=True, slots=True)
class ScoredCandidate:
    """One line of the table or point of a curve: the scores of every seed, in the seeds' order."""

    candidate: Candidate
    scores: tuple[Scores, ...]

    @property
    def is_line(self) -> bool:
        """Return whether it learned from all training rows, as the table's lines do."""
        return self.candidate.train_share == 1


def refused_rows(scores: Iterable[Scores | RefusedScores]) -> tuple[RefusedRow, ...]:
    """Return the candidates of the table that some seed does not value, each once."""
    found: dict[Candidate, RefusedRow] = {}
    for one in scores:
        if isinstance(one, RefusedScores) and one.candidate.train_share == 1:
            candidate = one.candidate
            row = RefusedRow(name=candidate.name, estimator=candidate.estimator, reason=one.reason)
            found.setdefault(candidate, row)
    return tuple(found.values())


def grouped(scores: Sequence[Scores | RefusedScores]) -> list[ScoredCandidate]:
    """Join the seeds of each candidate that all seeds value; policies of an estimator together, references last."""
    groups: dict[Candidate, list[Scores]] = {}
    refused = {one.candidate for one in scores if isinstance(one, RefusedScores)}
    for one in scores:
        if isinstance(one, RefusedScores) or one.candidate in refused:
            continue
        groups.setdefault(one.candidate, []).append(one)
    estimators = list(dict.fromkeys(candidate.estimator for candidate in groups))

    def place(scored: ScoredCandidate) -> tuple[int, int]:
        return _ORDER.index(scored.candidate.kind), estimators.index(scored.candidate.estimator)

    return sorted((ScoredCandidate(candidate, tuple(own)) for candidate, own in groups.items()), key=place)


class Resampled:
    """Every candidate's value and cost, from the data and from each resample of seeds and queries."""

    def __init__(self, candidates: Sequence[ScoredCandidate], n_queries: int, bootstrap: Bootstrap) -> None:
        self._candidates, self._bootstrap = candidates, bootstrap
        self._tested = tested = [scores.queries for scores in candidates[0].scores]
        self._estimate = partial(bootstrap.estimate, n_units=min(len(queries) for queries in tested))

        def figures(sums: list[list[TermSums]]) -> Float64:
            """Return (1 + B, c) float64 from each candidate's sums by seed."""
            by_seed = [np.concatenate([own[seed].stack() for own in sums], axis=1) for seed in range(len(tested))]
            drawn = bootstrap.two_way_sums(by_seed, tested, n_queries)
            return TermSums.unstack(drawn.reshape(len(drawn), len(sums), 4)).values

        self._values = figures([[scores.reward for scores in scored.scores] for scored in candidates])
        self._costs: Float64 | None = None
        costs = [[scores.cost for scores in scored.scores if scores.cost is not None] for scored in candidates]
        if all(len(of_seed) == len(tested) for of_seed in costs):
            self._costs = figures(costs)

    def rows(self, baseline: str, arm_names: Sequence[str]) -> tuple[ComparisonRow, ...]:
        """Return the table's lines."""
        lines = [index for index, scored in enumerate(self._candidates) if scored.is_line]
        return tuple(self._row(index, baseline, arm_names) for index in lines)

    def curves(self) -> tuple[CurvePoint, ...]:
        """Return each policy's value at every training size."""
        learners = [index for index, scored in enumerate(self._candidates) if scored.candidate.kind == "policy"]
        return tuple(self._curve_point(index) for index in learners)

    def conclusion(self, policies: Sequence[str], objective: Objective) -> Conclusion:
        """Return the best of these policies, by the estimator trusted most, against the best fixed arm.

        Raises:
            ValueError: if no estimator values them all and the arm.
        """
        lines = {(scored.candidate.name, scored.candidate.estimator): i for i, scored in self._lines()}
        whole = [name for _, name in lines if all((needed, name) in lines for needed in (*policies, BEST_FIXED))]
        if not whole:
            raise ValueError("no estimator values every policy and the best fixed arm on this log")
        estimator = whole[0]
        fixed = lines[BEST_FIXED, estimator]
        figures = self._values if objective == "reward" or self._costs is None else self._costs
        arms = [str(scores.fixed_arm) for scores in self._candidates[fixed].scores]
        own = figures[:, [lines[name, estimator] for name in policies]]
        found = conclude(policies, own, figures[:, fixed], arms, objective, self._estimate)
        scored = (self._candidates[lines[found.policy, estimator]], self._candidates[fixed])
        return replace(found, supported=not any(one.problems for candidate in scored for one in candidate.scores))

    def by_segment(self, segments: Sequence[str]) -> tuple[SegmentRow, ...]:
        """Return the lines by segment of the policies and of the best arm by segment, under the first estimator.

        Args:
            segments: of each query of the data.
        """
        lines = {(scored.candidate.name, scored.candidate.estimator): scored for _, scored in self._lines()}
        first = next(estimator for name, estimator in lines if name == BEST_FIXED)
        shown = {
            name: [scores.reward for scores in scored.scores]
            for (name, estimator), scored in lines.items()
            if estimator == first and scored.candidate.kind in ("policy", "segment")
        }
        fixed = [scores.reward for scores in lines[BEST_FIXED, first].scores]
        return segment_rows(shown, fixed, self._tested, segments, self._bootstrap)

    def _lines(self) -> list[tuple[int, ScoredCandidate]]:
        return [(index, scored) for index, scored in enumerate(self._candidates) if scored.is_line]

    def _row(self, index: int, baseline: str, arm_names: Sequence[str]) -> ComparisonRow:
        scored, values, estimate = self._candidates[index], self._values, self._estimate
        base = self._baseline_index(baseline, scored.candidate)
        oracle = next((i for i, other in self._lines() if other.candidate.kind == "oracle"), None)
        shares = np.mean([scores.arm_shares for scores in scored.scores], axis=0)
        sizes = [s.effective_sample_size for s in scored.scores if s.effective_sample_size is not None]
        value = estimate(values[:, index])
        return ComparisonRow(
            value=value.value,
            low=value.low,
            high=value.high,
            name=scored.candidate.name,
            kind=scored.candidate.kind,
            estimator=scored.candidate.estimator,
            difference=None if base is None else estimate(values[:, index] - values[:, base]),
            regret=None if oracle is None else estimate(values[:, oracle] - values[:, index]),
            cost=None if self._costs is None else estimate(self._costs[:, index]),
            arm_shares=dict(zip(arm_names, shares.tolist(), strict=True)),
            by_seed=tuple(_total(scores.reward) for scores in scored.scores),
            effective_sample_size=min(sizes, default=None),
        )

    def _curve_point(self, index: int) -> CurvePoint:
        scored, value = self._candidates[index], self._estimate(self._values[:, index])
        return CurvePoint(
            value=value.value,
            low=value.low,
            high=value.high,
            name=scored.candidate.name,
            estimator=scored.candidate.estimator,
            train_share=scored.candidate.train_share,
            n_train=float(np.mean([scores.n_train for scores in scored.scores])),
        )

    def _baseline_index(self, baseline: str, candidate: Candidate) -> int | None:
        """Return the baseline's place under the candidate's estimator; a reference stands for all estimators."""
        named = {other.candidate: index for index, other in self._lines() if other.candidate.name == baseline}
        for other, index in named.items():
            if other.estimator == candidate.estimator:
                return index
        alone = next(iter(named), None)
        return named[alone] if alone is not None and alone.kind not in ("policy", "fixed", "segment") else None


def _total(sums: TermSums) -> float:
    """Return the estimate over all test queries of a seed."""
    return float(TermSums.unstack(sums.stack().sum(axis=0)).values)


def notes_on(candidates: Sequence[ScoredCandidate]) -> list[str]:
    """Return what the reader must know of the table's lines, each once."""
    notes = []
    for scored in candidates:
        if not scored.is_line:
            continue
        own = dict.fromkeys(note for scores in scored.scores for note in scores.notes)
        notes += [f"{scored.candidate.estimator}: {note}" for note in own]
        bad = [scores for scores in scored.scores if scores.problems]
        if bad:
            notes.append(
                f"{scored.candidate.name}: {UNSUPPORTED} in {len(bad)} of "
                f"{len(scored.scores)} seeds; in the first: {'; '.join(bad[0].problems)}"
            )
    return list(dict.fromkeys(notes))
