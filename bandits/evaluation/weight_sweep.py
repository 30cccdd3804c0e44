"""Cost against quality: every policy at a list of weights of the cost, and the numbers that routing papers report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from bandits import checks
from bandits.checks import Float64
from bandits.data.array_data import Data
from bandits.data.full_information_data import FullInformationData
from bandits.data.splits import query_numbers
from bandits.evaluation.cost_units import notes_on_units
from bandits.evaluation.division import Division
from bandits.evaluation.front import Front
from bandits.evaluation.objective import notes_on_costs, notes_on_propensities
from bandits.evaluation.resampled import ScoredCandidate, notes_on
from bandits.evaluation.scores import RefusedScores, Scores, arm_scores, policy_scores
from bandits.evaluation.settings import ComparisonSettings
from bandits.evaluation.trade_off_result import RoutingNumbers, TradeOff, TradeOffPoint
from bandits.off_policy.terms import TermSums
from bandits.policies.cost_weighted import CostWeighted
from bandits.policies.named_policies import named_policies
from bandits.policies.policy import Policy
from bandits.policies.seeded import seeded
from bandits.policies.shrunk import shrunk
from bandits.seeds import SeedTree
from bandits.statistics.bootstrap import Bootstrap
from bandits.statistics.estimate import Estimate

_Key = tuple[str | None, int]  # a policy's name and the place of a weight, or None and the place of an arm
_STEPS = (0.0, 0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0, 1000.0)
_BOUNDS = {"cost_save": (0.0, 1.0), "cpt_50": (0.0, np.inf), "cpt_80": (0.0, np.inf), "pareto_dist": (0.0, np.inf)}


def trade_off(
    policies: Policy | Mapping[str, Policy],
    data: Data,
    cost_weights: Sequence[float] | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    *,
    settings: ComparisonSettings | None = None,
) -> TradeOff:
    """Say what each policy earns and costs at each weight of the cost, on queries that it was not trained on.

    Each policy is fitted once a seed, as `CostWeighted(policy)`, and chooses by reward - weight * cost for each weight.
    Values are exact on full information and the first estimator's on a log; divisions, shrinkage and intervals are
    those of `compare`. `RoutingNumbers` has the definitions of what is computed from the points.

    Args:
        policies: by the name to print, or one alone; each predicts rewards.
        data: with costs; a log must have tried every arm.
        cost_weights: >= 0, ascending; None takes 13 from 0 to a thousand times the ratio of the arms' spreads in reward
            and cost.
        seeds: different integers >= 0.
        settings: as for `compare`; `train_shares`, `objective`, `baseline`, `by_segment` and `executor` are not used.

    Raises:
        ValueError: if the data hold no costs, weights are negative or do not ascend, seeds repeat, or the estimator
            does not value a policy.
        TypeError: if a policy predicts no rewards.
    """
    settings = settings or ComparisonSettings()
    named = named_policies(policies, data.arm_names)
    if data.costs is None:
        raise ValueError("cost against quality needs what each arm costs, and the data hold no costs")
    if not named:
        raise ValueError("trade_off needs at least one policy, got none")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be one or more different integers, got {list(seeds)}")
    weights = default_weights(data) if cost_weights is None else _checked(cost_weights)
    by_seed = [_seed_scores(named, data, weights, seed, settings) for seed in seeds]
    bootstrap = Bootstrap(n_resamples=settings.n_bootstrap, confidence=settings.confidence, seed=min(seeds))
    points, n_units = _points(by_seed, int(query_numbers(data).max()) + 1, bootstrap)
    estimate = partial(bootstrap.estimate, n_units=n_units)
    arms = np.stack([points[None, place] for place in range(data.n_arms)], axis=1)  # (1 + B, k, 2)
    own = {name: np.stack([points[name, place] for place in range(len(weights))], axis=1) for name in named}
    return TradeOff(
        rows=tuple(_numbers(name, arms, own, estimate) for name in named),
        points=tuple(
            _point(name, weight, own[name][:, place], estimate)
            for name in named
            for place, weight in enumerate(weights)
        ),
        arms=tuple(_point(name, None, arms[:, place], estimate) for place, name in enumerate(data.arm_names)),
        estimator="exact" if isinstance(data, FullInformationData) else settings.estimators[0].name,
        seeds=tuple(seeds),
        n_queries=int(query_numbers(data).max()) + 1,
        test_share=settings.test_share,
        confidence=settings.confidence,
        n_bootstrap=settings.n_bootstrap,
        notes=(
            *notes_on_costs(data),
            *notes_on_units(data, cost_weights or ()),
            *notes_on_propensities(data),
            *_notes(by_seed),
        ),
    )


def default_weights(data: Data) -> tuple[float, ...]:
    """Return 0 and 12 weights around that at which the arms' mean rewards and mean costs spread alike."""
    feedback = data.feedback()
    sums, counts = feedback.arm_sums()
    seen = counts > 0
    means = sums[seen] / counts[seen]
    costs = _mean_costs(data)
    unit = max(float(np.ptp(means)), 1e-6) / max(float(np.ptp(costs)), 1e-12)
    return tuple(step * unit for step in _STEPS)


def _mean_costs(data: Data) -> Float64:
    assert data.costs is not None
    if isinstance(data, FullInformationData):
        seen = data.observed_mask.any(axis=0)
        return np.asarray(np.nanmean(data.costs[:, seen], axis=0))
    counts = np.bincount(data.actions, minlength=data.n_arms)
    return np.asarray((np.bincount(data.actions, data.costs, minlength=data.n_arms)[counts > 0]) / counts[counts > 0])


def _checked(cost_weights: Sequence[float]) -> tuple[float, ...]:
    weights = tuple(checks.not_negative(weight, "cost_weights") for weight in cost_weights)
    if not weights or any(b <= a for a, b in pairwise(weights)):
        raise ValueError(f"cost_weights must be one or more ascending numbers, got {list(weights)}")
    return weights


def _seed_scores(
    policies: Mapping[str, Policy], data: Data, weights: Sequence[float], seed: int, settings: ComparisonSettings
) -> dict[_Key, Scores]:
    """Return one seed's scores of each policy at each weight, and of each arm."""
    tree = SeedTree(seed)
    division = Division.random(data, settings, tree)
    estimator = settings.estimators[:1]
    found: dict[_Key, Scores] = {}
    for name, policy in policies.items():
        inner = seeded(shrunk(policy, division.train), tree.child("policy", name))
        fitted = CostWeighted(inner).fit(division.train)
        for place, weight in enumerate(weights):
            shown = f"{name}, weight {weight:.3g}"
            scored = policy_scores(division, fitted.at(weight), shown, estimator, n_train=len(division.train))
            found[name, place] = _valued(scored[0])
    for place, scores in enumerate(arm_scores(division, estimator)):
        found[None, place] = _valued(scores)
    return found


def _valued(scores: Scores | RefusedScores) -> Scores:
    if isinstance(scores, RefusedScores):
        raise ValueError(f"{scores.candidate.name}, {scores.candidate.estimator}: {scores.reason}")
    return scores


def _notes(by_seed: Sequence[dict[_Key, Scores]]) -> tuple[str, ...]:
    """Return why the log cannot support the points, for the first such point of each policy and of the arms."""
    found: dict[str | None, list[str]] = {}
    for key in by_seed[0]:
        scores = tuple(scored[key] for scored in by_seed)
        found[key[0]] = found.get(key[0]) or notes_on([ScoredCandidate(scores[0].candidate, scores)])
    return tuple(dict.fromkeys(note for notes in found.values() for note in notes))


def _points(
    by_seed: Sequence[dict[_Key, Scores]], n_queries: int, bootstrap: Bootstrap
) -> tuple[dict[_Key, Float64], int]:
    """Return (1 + B, 2) float64, mean cost and mean reward of each candidate; and the fewest tested queries."""
    keys = list(by_seed[0])
    tested = [scores[keys[0]].queries for scores in by_seed]

    def columns(scores: Scores) -> list[Float64]:
        assert scores.cost is not None
        return [scores.cost.stack(), scores.reward.stack()]

    lines = [np.concatenate([part for key in keys for part in columns(scores[key])], axis=1) for scores in by_seed]
    drawn = bootstrap.two_way_sums(lines, tested, n_queries)
    values = TermSums.unstack(drawn.reshape(len(drawn), len(keys), 2, 4)).values
    return {key: values[:, place] for place, key in enumerate(keys)}, min(map(len, tested))


def _point(name: str, weight: float | None, values: Float64, estimate: partial[Estimate]) -> TradeOffPoint:
    value = estimate(values[:, 1])
    return TradeOffPoint(
        value=value.value,
        low=value.low,
        high=value.high,
        name=name,
        cost_weight=weight,
        cost=estimate(values[:, 0]),
    )


def _numbers(name: str, arms: Float64, policies: Mapping[str, Float64], estimate: partial[Estimate]) -> RoutingNumbers:
    """Return a policy's numbers, each computed on the data and on every resample."""
    everyone = np.concatenate([arms, *policies.values()], axis=1)
    weak, strong = int(np.argmin(arms[0, :, 0])), int(np.argmax(arms[0, :, 1]))
    lines = [
        Front(arms[line], policies[name][line], everyone[line], weak, strong).numbers() for line in range(len(arms))
    ]
    found = {}
    for key in lines[0]:
        figures = np.array([line[key] for line in lines])
        defined = np.isfinite(figures[0]) and np.isfinite(figures[1:]).any()
        found[key] = estimate(figures).within(*_BOUNDS.get(key, (-np.inf, np.inf))) if defined else None
    aiq = found.pop("aiq")
    assert aiq is not None
    return RoutingNumbers(value=aiq.value, low=aiq.low, high=aiq.high, name=name, **found)
