"""A choice at every round beside the policies: learned from the training texts, played on the held-out ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bandits import Bootstrap, FullInformationData
from bandits.evaluation import Evaluation
from bandits.evaluation.evaluation import EvaluationRow
from bandits.evaluation.objective import NO_DRAFT
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import Replay
from speculative.collection.trace import Trace
from speculative.collection.trace_store import TRACES, read_trace_parts
from speculative.measuring.cost_profile import CostProfile
from speculative.measuring.wall_clock import Mode, selector_mode
from speculative.pools.pool import Pool
from speculative.rounds import SpeedSelector, TrainingSettings, fit_speed_selector, play

PER_ROUND = "per round"
MOST_TEXTS = 200  # of those learned from: what it takes grows with each, what it learns hardly any more


@dataclass(frozen=True, slots=True)
class PerRound:
    """A selector that chooses among the pool's fixed arms before every round, and what it brings by replay.

    Attributes:
        selector: fitted on the training texts.
        arm_names: the fixed arms, in the selector's order.
        played: by held-out query, its rounds and seconds.
    """

    selector: SpeedSelector
    arm_names: tuple[str, ...]
    played: dict[str, Replay]

    def mode(self, pool: Pool) -> Mode:
        """Answer with it; it starts every answer from what it learned."""
        return selector_mode(pool.fixed_arms, lambda: self.selector, name=PER_ROUND)


def learn_per_round(pool: Pool, train: Path, test: Path, costs: CostProfile, seed: int) -> PerRound:
    """Fit a selector on the texts collected in one folder, at most `MOST_TEXTS`, and play it through those of another.

    Raises:
        ValueError: if a folder holds no whole traces, or they are of other drafts or another encoder.
    """
    plans = {arm.name: ArmPlan.of(arm) for arm in pool.fixed_arms}
    settings = TrainingSettings(seed=seed)
    texts = _traces(train)
    learned_from = texts[:: -(-len(texts) // MOST_TEXTS)]
    selector = fit_speed_selector(learned_from, plans, costs, settings, encoder=pool.encoder)
    played = {trace.query_id: play(selector, list(plans.values()), trace, costs) for trace in _traces(test)}
    return PerRound(selector, tuple(plans), played)


def with_per_round(evaluation: Evaluation, per_round: PerRound, test: FullInformationData) -> Evaluation:
    """Add the choice per round to a table of policies, with intervals by the same bootstrap.

    Args:
        evaluation: of policies on `test`, valued by time saved.
        per_round: played on the same queries.
        test: held-out data, every arm observed on every query.

    Raises:
        ValueError: if the data hold no seconds.
    """
    if test.costs is None or test.query_ids is None:
        raise ValueError("the held-out data must hold costs and query ids")
    found = [per_round.played[str(query_id)] for query_id in test.query_ids]
    seconds = np.array([one.seconds for one in found])
    plain = test.costs[:, test.arm_names.index(NO_DRAFT)]
    saved = plain - seconds
    fixed = test.rewards[:, test.arm_names.index(evaluation.best_fixed_arm or NO_DRAFT)]
    bootstrap = Bootstrap(n_resamples=evaluation.n_bootstrap, confidence=evaluation.confidence, seed=evaluation.seed)
    slower = (seconds > plain).astype(np.float64)
    columns = np.stack([saved, test.rewards.max(axis=1) - saved, saved - fixed, slower], axis=1)
    value, regret, difference, share = bootstrap.estimates(bootstrap.sums(columns) / len(test), len(test))
    row = EvaluationRow(
        value=value.value,
        low=value.low,
        high=value.high,
        name=PER_ROUND,
        kind="rounds",
        regret=regret,
        speedup=bootstrap.ratio_of_sums(plain, seconds),
        slower_share=share.within(0.0, 1.0),
        difference=difference,
        arm_shares=_shares(found, per_round.arm_names, test.arm_names),
    )
    n_policies = sum(one.kind == "policy" for one in evaluation.rows)
    return replace(evaluation, rows=(*evaluation.rows[:n_policies], row, *evaluation.rows[n_policies:]))


def _shares(found: Sequence[Replay], own: Sequence[str], arm_names: Sequence[str]) -> dict[str, float]:
    """Return each arm's share of all rounds."""
    counts = Counter(own[action] for one in found for action in one.actions)
    n_rounds = max(1, counts.total())
    return {name: counts[name] / n_rounds for name in arm_names}


def _traces(folder: Path) -> list[Trace]:
    return [trace for part in read_trace_parts(folder / TRACES) for trace in part]
