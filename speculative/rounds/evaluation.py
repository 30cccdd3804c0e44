"""What a choice per round is worth: selectors fitted and played on disjoint prompts, beside what hindsight could do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arms.checks import at_least
from bandits.statistics.bootstrap import Bootstrap
from bandits.statistics.estimate import Estimate
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import Replayer
from speculative.collection.trace import Trace
from speculative.measuring.cost_profile import CostProfile
from speculative.protocols.selector import Selector
from speculative.rounds.clairvoyant import clairvoyant_s
from speculative.rounds.playing import play
from speculative.rounds.training import DEFAULT, TrainingSettings, fit_speed_selector

MakeSelector = Callable[[Sequence[Trace]], Selector]
"""Fits a selector over the arms on the traces of training prompts."""


@dataclass(frozen=True, slots=True)
class RoundEvaluation:
    """How many times as fast as the best fixed arm selectors are, by total replayed seconds on held-out prompts.

    Attributes:
        selectors: by name, with intervals over prompts.
        query_oracle: of the best arm of each prompt, known in hindsight.
        clairvoyant: of the best arm of each round, known in hindsight.
        n_queries: prompts.
    """

    selectors: dict[str, Estimate]
    query_oracle: Estimate
    clairvoyant: Estimate
    n_queries: int

    def __str__(self) -> str:
        rows = {**self.selectors, "oracle per query": self.query_oracle, "clairvoyant per round": self.clairvoyant}
        width = max(map(len, rows))
        return "\n".join([*(f"{name:{width}}  {value:.3f}" for name, value in rows.items()), self.conclusion()])

    def conclusion(self) -> str:
        """Say in one sentence whether a choice per round pays."""
        name, best = max(self.selectors.items(), key=lambda item: item[1].value)
        room = self.clairvoyant.value - 1
        share = (best.value - 1) / room if room > 0 else 0.0
        if best.low <= 1:
            return f"No selector is surely faster than the best fixed arm on {self.n_queries} prompts: use that arm."
        return (
            f"Use {name}: on {self.n_queries} held-out prompts it is {best:.2f} times as fast as the best fixed arm, "
            f"{share:.0%} of what a perfect choice at every round would gain."
        )


def evaluate_rounds(
    traces: Sequence[Trace],
    arms: Mapping[str, ArmPlan],
    costs: CostProfile,
    *,
    selectors: Mapping[str, MakeSelector] | None = None,
    n_folds: int = 10,
    settings: TrainingSettings = DEFAULT,
) -> RoundEvaluation:
    """Fit selectors on some prompts and play them on the others, in turn, until each prompt was held out once.

    Args:
        traces: of at least two prompts.
        arms: name to plan, fixed arms.
        costs: seconds of this machine.
        selectors: by name, what fits one; `SpeedSelector` by default.
        n_folds: >= 2; fewer where there are fewer prompts.
        settings: of `SpeedSelector`; the seed also divides the prompts.

    Raises:
        ValueError: if there are fewer than two traces, or an arm is a rule or was not traced.
    """
    at_least(len(traces), 2, "traces")
    at_least(n_folds, 2, "n_folds")
    makers = selectors or {"SpeedSelector": lambda train: fit_speed_selector(train, arms, costs, settings)}
    plans, n = list(arms.values()), len(traces)
    replayers = [Replayer(trace, costs) for trace in traces]
    fixed = np.array([[replayer.play(plan).seconds for plan in plans] for replayer in replayers])
    best_fixed = np.zeros(n)
    played = {name: np.zeros(n) for name in makers}
    order = np.random.default_rng(settings.seed).permutation(n)
    for fold in range(min(n_folds, n)):
        held_out = order[fold :: min(n_folds, n)]
        train = np.setdiff1d(order, held_out)
        best_fixed[held_out] = fixed[held_out, fixed[train].sum(axis=0).argmin()]
        for name, make in makers.items():
            selector = make([traces[i] for i in train])
            played[name][held_out] = [play(selector, plans, traces[i], costs).seconds for i in held_out]
    clairvoyant = np.array([clairvoyant_s(plans, trace, costs) for trace in traces])
    bootstrap = Bootstrap(seed=settings.seed)
    return RoundEvaluation(
        {name: bootstrap.ratio_of_sums(best_fixed, seconds) for name, seconds in played.items()},
        bootstrap.ratio_of_sums(best_fixed, fixed.min(axis=1)),
        bootstrap.ratio_of_sums(best_fixed, clairvoyant),
        n,
    )
