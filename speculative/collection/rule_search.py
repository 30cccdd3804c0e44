"""Which rules, and which arms, are worth having in a pool: found in traces, judged on prompts held out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bandits.checks import Float64
from bandits.statistics.bootstrap import Bootstrap
from bandits.statistics.estimate import Estimate
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import Replayer
from speculative.collection.trace import Trace
from speculative.measuring.cost_profile import CostProfile
from speculative.targets.speculative_arm import SpeculativeArm

THRESHOLDS = (1, 2, 3, 4, 6, 8)
"""Least match lengths that are tried."""
N_EXTENDED = 8  # one-clause rules that get a clause before theirs
N_FOLDS = 10
LEAST_GAIN = 0.01  # of the seconds, for another rule


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What the search found.

    Attributes:
        rules: most useful first; none where fixed arms do as well.
        arms: names of the fixed arms that are worth keeping: no draft, those of the rules, and the best ones.
        gain: how many times as fast as the best fixed arm the best rule is by total seconds on prompts held out, each
            chosen on the others.
        n_queries: prompts that it rests on.
    """

    rules: tuple["NamedRule", ...]
    arms: tuple[str, ...]
    gain: Estimate
    n_queries: int

    def __str__(self) -> str:
        found = f"{self.gain:.2f} times as fast as the best fixed arm by total seconds"
        if not self.rules:
            return f"On {self.n_queries} prompts no rule is worth having: keep the fixed arms {', '.join(self.arms)}."
        return (
            f"On {self.n_queries} prompts, each held out from the search, the best of all rules and arms is {found}; a "
            f"policy that chooses among these {len(self.rules)} rules for each query may gain more: add them, collect "
            "again and train."
        )


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A rule by the names of the pool's arms.

    Attributes:
        clauses: (arm, min_match_length) in order.
        fallback: where none holds.
    """

    clauses: tuple[tuple[str, int], ...]
    fallback: str

    @property
    def arms(self) -> tuple[str, ...]:
        """Return the arms that it takes, the fallback last."""
        return (*(arm for arm, _ in self.clauses), self.fallback)

    def plan(self, plans: Mapping[str, ArmPlan]) -> ArmPlan:
        """Return what replay needs of it, from the plans of its arms."""
        return ArmPlan(tuple(plans[arm].drafts[0] for arm in self.arms), tuple(least for _, least in self.clauses))


Candidate = NamedRule | str
"""A rule, or the name of a fixed arm."""


def suggest_rules(
    traces: Sequence[Trace],
    arms: Sequence[SpeculativeArm],
    costs: CostProfile,
    *,
    n_rules: int = 4,
    seed: int = 0,
    on_progress: Callable[[str], None] | None = None,
) -> Suggestion:
    """Search rules of one and two clauses by total replayed seconds.

    Every look-up is tried before every other arm at each least match length; the best of these get a second look-up
    before theirs. Rules are then taken in turn, each the one that a choice per query would gain most from.

    Args:
        traces: of at least two training prompts.
        arms: the pool's fixed ones, no draft among them.
        costs: seconds of this machine.
        n_rules: most rules to suggest, >= 1.
        seed: of folds and bootstrap.
        on_progress: told what is being done.

    Raises:
        ValueError: if there are fewer than two traces, or an arm was not traced.
    """
    if len(traces) < 2:
        raise ValueError(f"rules are searched on at least 2 prompts, got {len(traces)}")
    plans = {arm.name: ArmPlan.of(arm) for arm in arms}
    thresholds = {arm.name: [n for n in THRESHOLDS if n <= arm.draft.max_match_length] for arm in arms}
    table = _Table([Replayer(trace, costs) for trace in traces], plans)
    table.add(list(plans), on_progress)
    table.add(_one_clause(thresholds), on_progress)
    ranked = sorted(table.rules, key=lambda rule: table.seconds(rule).sum())[:N_EXTENDED]
    table.add([rule for one in ranked for rule in _extended(one, thresholds)], on_progress)
    chosen = _chosen(table, list(plans), n_rules)
    rules = tuple(one for one in chosen if isinstance(one, NamedRule))
    kept = {arm for rule in rules for arm in rule.arms} | {one for one in chosen if isinstance(one, str)}
    names = tuple(arm.name for arm in arms if arm.name in kept or not arm.draft_length)
    return Suggestion(rules, names, _held_out_gain(table, list(plans), seed), len(traces))


class _Table:
    """Seconds of every candidate on every text."""

    def __init__(self, replayers: Sequence[Replayer], plans: Mapping[str, ArmPlan]) -> None:
        self._replayers, self._plans = replayers, plans
        self._seconds: dict[Candidate, Float64] = {}

    def add(self, candidates: Sequence[Candidate], on_progress: Callable[[str], None] | None) -> None:
        new = [one for one in dict.fromkeys(candidates) if one not in self._seconds]
        if on_progress is not None:
            on_progress(f"replaying {len(new)} arms and rules on {len(self._replayers)} texts")
        for one in new:
            plan = one.plan(self._plans) if isinstance(one, NamedRule) else self._plans[one]
            self._seconds[one] = np.array([replayer.play(plan).seconds for replayer in self._replayers])

    @property
    def rules(self) -> list[NamedRule]:
        return [one for one in self._seconds if isinstance(one, NamedRule)]

    @property
    def candidates(self) -> list[Candidate]:
        return list(self._seconds)

    def seconds(self, candidate: Candidate) -> Float64:
        return self._seconds[candidate]

    def matrix(self, candidates: Sequence[Candidate]) -> Float64:
        """Return the seconds, (n, k)."""
        return np.stack([self._seconds[one] for one in candidates], axis=1)


def _one_clause(thresholds: Mapping[str, Sequence[int]]) -> list[NamedRule]:
    return [
        NamedRule(((look, least),), other)
        for look, lengths in thresholds.items()
        for least in lengths
        for other in thresholds
        if other != look
    ]


def _extended(rule: NamedRule, thresholds: Mapping[str, Sequence[int]]) -> list[NamedRule]:
    """Return the rule with another look-up before its own, which must have found more."""
    [(_, before)] = rule.clauses
    return [
        NamedRule(((look, least), *rule.clauses), rule.fallback)
        for look, lengths in thresholds.items()
        if look not in rule.arms
        for least in lengths
        if least > before
    ]


def _chosen(table: _Table, fixed: Sequence[str], n_rules: int) -> list[Candidate]:
    """Take candidates in turn, while a choice per query with the new one is faster by a share worth having."""
    seconds = table.matrix(table.candidates)
    chosen = [int(seconds.sum(axis=0).argmin())]
    best = seconds[:, chosen[0]]
    while len(chosen) < n_rules:
        totals = np.minimum(best[:, None], seconds).sum(axis=0)
        nxt = int(totals.argmin())
        if totals[nxt] > best.sum() * (1 - LEAST_GAIN):
            break
        chosen.append(nxt)
        best = np.minimum(best, seconds[:, nxt])
    names = [table.candidates[i] for i in chosen]
    fastest = min(fixed, key=lambda arm: table.seconds(arm).sum())
    return names if fastest in names else [*names, fastest]


def _held_out_gain(table: _Table, fixed: Sequence[str], seed: int) -> Estimate:
    """Return best fixed arm's seconds over best candidate's, each chosen on the other folds."""
    everything, arms = table.matrix(table.candidates), table.matrix(fixed)
    n = len(everything)
    order = np.random.default_rng(seed).permutation(n)
    ours, theirs = np.zeros(n), np.zeros(n)
    for fold in range(min(N_FOLDS, n)):
        held_out = order[fold :: min(N_FOLDS, n)]
        train = np.setdiff1d(np.arange(n), held_out)
        ours[held_out] = everything[held_out, everything[train].sum(axis=0).argmin()]
        theirs[held_out] = arms[held_out, arms[train].sum(axis=0).argmin()]
    return Bootstrap(seed=seed).ratio_of_sums(theirs, ours)
