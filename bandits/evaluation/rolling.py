"""Rolling (prequential) evaluation: policies choose on each row, earn, then learn of it, in order of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bandits import checks
from bandits.data.array_data import Data
from bandits.data.full_information_data import FullInformationData
from bandits.data.logged_data import LoggedData
from bandits.evaluation.arm_change import arm_changes
from bandits.evaluation.comparison import UNSUPPORTED
from bandits.evaluation.objective import learned, net_of_costs, notes_on_costs, notes_on_propensities
from bandits.evaluation.rolling_figures import RollingCandidate, RollingFigures
from bandits.evaluation.rolling_path import LearnFrom, is_uniform
from bandits.evaluation.rolling_result import RollingEvaluation, frozen_name
from bandits.evaluation.scores import BEST_FIXED
from bandits.evaluation.time_order import TimeOrder
from bandits.off_policy.terms import LARGEST
from bandits.policies.named_policies import named_policies
from bandits.policies.policy import Policy
from bandits.seeds import SeedTree
from bandits.statistics.bootstrap import Bootstrap

LEAST_ROWS = 8  # of a window
_UPDATES = 1000  # of a run, where nobody says how many


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingSettings:
    """How `evaluate_rolling` learns, divides time and resamples.

    Args:
        n_windows: >= 2, of equally many rows, for each of which there is a value.
        n_first: in [1, n_windows), windows of the first part, on which the best fixed arm is picked and after which
            frozen copies learn no more.
        learn_from: "own": policies learn from the rewards of their own choices; "all": from all that the data show;
            None takes "own", but on a log that is not uniform "all". See `evaluate_rolling`.
        update_every: rows between two updates; None takes a thousandth of the rows, at least 1.
        cost_weight: see `ComparisonSettings`.
        n_bootstrap: resamples for the intervals.
        confidence: in (0, 1).
    """

    n_windows: int = 10
    n_first: int = 2
    learn_from: LearnFrom | None = None
    update_every: int | None = None
    cost_weight: float | None = None
    n_bootstrap: int = 1000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        checks.at_least(self.n_windows, 2, "n_windows")
        checks.whole(self.n_first, 1, self.n_windows - 1, "n_first")
        if self.learn_from not in (None, "own", "all"):
            raise ValueError(f"learn_from must be 'own', 'all' or None, got {self.learn_from!r}")
        if self.update_every is not None:
            checks.at_least(self.update_every, 1, "update_every")
        if self.cost_weight is not None:
            checks.within(self.cost_weight, 0, LARGEST, "cost_weight")
        checks.at_least(self.n_bootstrap, 1, "n_bootstrap")
        checks.share(self.confidence, "confidence")


def evaluate_rolling(
    policies: Policy | Mapping[str, Policy],
    data: Data,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    *,
    settings: RollingSettings | None = None,
) -> RollingEvaluation:
    """Say what policies earn that learn while they choose, through the data in order of time.

    On each row a policy gives its probabilities, earns what they earn in expectation, then learns of the row. So no
    value is of a row that was learned from, nothing is assumed about what changes, and no row is left out.

    - **Full information**: values are exact. Policies see the reward of the arm that they drew ("own"), or every
      arm's ("all"; `Hedge`, which is made for it, always does).
    - **A log of uniform draws** ("own"): a policy is shown the rows that it would have chosen itself (Li et al.'s
      replay), one in k or so, as if it had decided on that share of the traffic.
    - **Other logs** ("all"): a policy is shown the whole log as it came, as one that is trained beside the policy that
      serves: also choices that it would not have made, and more of them than it would see alone.

    On a log every row is valued by the doubly robust estimate with the arms' mean rewards so far as model, whatever the
    policy learned from. Given the rows before it is unbiased if the propensities are right and above 0 wherever the
    policy acts; that needs neither that contexts and rewards stay what they were nor that the logging policy did.

    Where an arm could not be chosen (not available, or not observed) policies choose among the others, and a fixed arm
    stands for any of them.

    Intervals are from a bootstrap that draws seeds and blocks of neighbouring rows (the square root of a window's rows
    long) with replacement, of Student's width for few blocks. Longer blocks than estimate a variance best keep more of
    what neighbours share, and Student's width pays for their small number. Neighbours that resemble each other still
    make intervals a little narrow: see the how-to. Rows of one query in several blocks count as independent.

    Args:
        policies: by the name to print, or one alone; each starts without data in each run, from a fresh copy.
        data: with `times`; rows of one time in the order that they have.
        seeds: different integers >= 0, one run each.
        settings: windows, what is learned from, intervals.

    Raises:
        TypeError: if data or policies are of another kind.
        ValueError: if the data hold no times or one moment only, or fewer than 8 rows a window; if they cannot say what
            another arm would have brought (a log of one arm, whose every propensity is 1, or that has none); if a name
            is taken, seeds repeat, a policy fails, or nothing that it chooses is in the log.

    Source: Dawid 1984, Statistical Theory: The Prequential Approach; blocks: Künsch 1989, The Jackknife and the
    Bootstrap for General Stationary Observations; their length: Sun, Phillips and Jin 2008, Optimal Bandwidth Selection
    in Heteroskedasticity-Autocorrelation Robust Testing (for Bartlett's weights, which blocks amount to).
    """
    settings = settings or RollingSettings()
    named = _checked_policies(policies, data)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be one or more different integers, got {list(seeds)}")
    given = net_of_costs(data, settings.cost_weight)
    data = _in_order(given, settings)
    edges = np.linspace(0, len(data), settings.n_windows + 1).round().astype(np.int64)
    times = TimeOrder(data, edges, settings.n_first)
    learn_from = settings.learn_from or ("all" if isinstance(data, LoggedData) and not is_uniform(data) else "own")
    every = settings.update_every or max(len(data) // _UPDATES, 1)
    runs = {
        name: [times.path(name, policy, every, learn_from, SeedTree(seed)) for seed in seeds]
        for name, policy in named.items()
    }
    candidates = times.candidates(runs)
    bootstrap = Bootstrap(n_resamples=settings.n_bootstrap, confidence=settings.confidence, seed=min(seeds))
    figures = RollingFigures(candidates, times.best, times.weights, edges, bootstrap)
    return RollingEvaluation(
        rows=figures.rows(settings.n_first),
        points=figures.points(settings.n_first),
        windows=times.windows(),
        n_first=settings.n_first,
        changes=arm_changes(given),
        conclusion=figures.conclusion(learned(named), times.fixed_arm, settings.n_first),
        learned_from=_LEARNED[isinstance(data, LoggedData), learn_from],
        valued_by=_VALUED[isinstance(data, LoggedData)],
        update_every=every,
        seeds=tuple(seeds),
        n_rows=len(data),
        confidence=settings.confidence,
        notes=_notes(data, settings, candidates),
    )


_LEARNED = {
    (False, "own"): "the reward of the arm that they drew",
    (False, "all"): "every arm's reward",
    (True, "own"): "the rows of the log that they would have chosen themselves",
    (True, "all"): "the whole log as it came, whoever chose",
}
_VALUED = {
    False: "values are exact expectations",
    True: "values are doubly robust estimates (model: the arms' mean rewards so far) and rest on the propensities",
}


def _checked_policies(policies: Policy | Mapping[str, Policy], data: Data) -> dict[str, Policy]:
    if not isinstance(data, FullInformationData | LoggedData):
        raise TypeError(f"data must be FullInformationData or LoggedData, got {data!r}")
    named = named_policies(policies, (BEST_FIXED, *data.arm_names))
    if not named:
        raise ValueError("evaluate_rolling needs at least one policy, got none")
    for name in named:
        if frozen_name(name) in named:
            raise ValueError(f"policy name {frozen_name(name)!r} is that of the copy of {name!r}: choose another")
    return named


def _in_order(data: Data, settings: RollingSettings) -> Data:
    """Return the rows by time; refuse data that cannot say what a policy would have earned at which time."""
    if data.times is None:
        raise ValueError("evaluate_rolling needs times: give the data times, one a row (a column time of a table)")
    if np.ptp(data.times) == 0:
        raise ValueError(f"evaluate_rolling needs an order of time, and all rows are of one moment, {data.times[0]:g}")
    if len(data) < LEAST_ROWS * settings.n_windows:
        raise ValueError(
            f"n_windows {settings.n_windows} needs at least {LEAST_ROWS * settings.n_windows} rows, "
            f"got {len(data)}: ask for fewer windows"
        )
    if isinstance(data, LoggedData):
        if data.deterministic:
            raise ValueError("the log cannot say what another arm would have brought: every propensity is 1")
        if (data.actions == data.actions[0]).all():
            arm = data.arm_names[int(data.actions[0])]
            raise ValueError(f"the log took arm {arm!r} only, so it cannot say what another would have brought")
    elif (data.observed_mask.sum(axis=1) < 2).all():
        raise ValueError(
            "no row observes two arms, and nothing says how likely the one was: give a log with its propensities"
        )
    ordered = data.subset(np.argsort(data.times, kind="stable"))
    return replace(ordered, observations=None) if isinstance(ordered, FullInformationData) else ordered


def _notes(data: Data, settings: RollingSettings, candidates: Sequence[RollingCandidate]) -> tuple[str, ...]:
    priced = [] if settings.cost_weight is None else [f"the reward is reward - {settings.cost_weight:g} * cost"]
    if isinstance(data, FullInformationData) and not data.complete.all():
        n_partly = int((~data.complete).sum())
        priced.append(
            f"{n_partly} rows do not observe every arm: an arm that is not observed could not be chosen there"
        )
    unsupported = [f"{one.name}: {UNSUPPORTED}: {'; '.join(one.problems)}" for one in candidates if one.problems]
    return (*notes_on_costs(data), *notes_on_propensities(data), *priced, *unsupported)
