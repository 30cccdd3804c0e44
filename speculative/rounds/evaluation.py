"""What a choice per round is worth: selectors fitted and played on disjoint prompts, beside what hindsight could do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arms.checks import at_least
from bandits.statistics.bootstrap import Bootstrap
from bandits.statistics.estimate import Estimate
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.trace import Trace
from speculative.measuring.cost_profile import CostProfile
from speculative.protocols.selector import Selector
from speculative.rounds.baselines import Baselines
from speculative.rounds.clairvoyant import clairvoyant_s
from speculative.rounds.gated_selector import gated
from speculative.rounds.playing import play
from speculative.rounds.training import DEFAULT, TrainingSettings, fit_speed_selector

MakeSelector = Callable[[Sequence[Trace]], Selector]
"""Fits a selector over the arms on the traces of training prompts."""
N_SEEDS = 5
"""Of rules that draw; their seconds are means over them."""


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
        speeds = {name: f"{value:.3f}" for name, value in rows.items()}
        names, numbers = max(map(len, rows)), max(map(len, speeds.values()))
        lines = [f"{'':{names}}  {'':{numbers}}  of oracle  of clairvoyant"]
        for name, value in rows.items():
            shares = value.value / self.query_oracle.value, value.value / self.clairvoyant.value
            lines.append(f"{name:{names}}  {speeds[name]:{numbers}}  {shares[0]:>9.1%}  {shares[1]:>14.1%}")
        return "\n".join([*lines, self.conclusion()])

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
    n_folds: int = 5,
    settings: TrainingSettings = DEFAULT,
) -> RoundEvaluation:
    """Fit selectors on some prompts and play them on the others, in turn, until each prompt was held out once.

    Args:
        traces: of at least two prompts.
        arms: name to plan, fixed arms.
        costs: seconds of this machine.
        selectors: by name, what fits one; by default what is learned here and all the published rules.
        n_folds: >= 2; fewer where there are fewer prompts.
        settings: of the learned ones; the seed also divides the prompts.

    Raises:
        ValueError: if there are fewer than two traces, or an arm is a rule or was not traced.
    """
    n = min(at_least(n_folds, 2, "n_folds"), at_least(len(traces), 2, "traces"))
    order = np.random.default_rng(settings.seed).permutation(len(traces))
    played = _Played(arms, costs, settings, selectors)
    for fold in range(n):
        held_out = order[fold::n]
        played.add([traces[i] for i in np.setdiff1d(order, held_out)], [traces[i] for i in held_out])
    return played.result()


def evaluate_rounds_on(
    train: Sequence[Trace],
    held_out: Sequence[Trace],
    arms: Mapping[str, ArmPlan],
    costs: CostProfile,
    settings: TrainingSettings = DEFAULT,
) -> RoundEvaluation:
    """Fit what is learned here and all the published rules on training prompts, and play them on held-out ones.

    Args:
        train: texts to learn from.
        held_out: texts to play, of other prompts.
        arms: name to plan, fixed arms.
        costs: seconds of this machine.
        settings: of the learned ones.

    Raises:
        ValueError: if there is no text on one side, or an arm is a rule or was not traced.
    """
    at_least(len(train), 1, "training traces")
    at_least(len(held_out), 1, "held-out traces")
    played = _Played(arms, costs, settings)
    played.add(train, held_out)
    return played.result()


class _Played:
    """Seconds of selectors on held-out texts, one after the other, beside those of the best fixed arm and hindsight."""

    def __init__(
        self,
        arms: Mapping[str, ArmPlan],
        costs: CostProfile,
        settings: TrainingSettings,
        selectors: Mapping[str, MakeSelector] | None = None,
    ) -> None:
        self._arms, self._costs, self._settings, self._selectors = arms, costs, settings, selectors
        self._plans = list(arms.values())
        self._rows: dict[str, list[float]] = {"": [], "query": [], "round": []}

    def add(self, train: Sequence[Trace], held_out: Sequence[Trace]) -> None:
        """Fit on some texts and play on others."""
        baselines, plans = Baselines(self._arms, self._costs, self._settings), self._plans
        fixed = baselines.seconds(held_out)
        self._rows[""] += fixed[:, baselines.seconds(train).sum(axis=0).argmin()].tolist()
        self._rows["query"] += fixed.min(axis=1).tolist()
        self._rows["round"] += [clairvoyant_s(plans, trace, self._costs) for trace in held_out]
        if self._selectors is None:
            made = _every(train, held_out, self._arms, self._costs, self._settings)
        else:
            made = {name: [make(train)] for name, make in self._selectors.items()}
        for name, ones in made.items():
            seconds = [[play(one, plans, trace, self._costs).seconds for trace in held_out] for one in ones]
            self._rows.setdefault(f"selector {name}", []).extend(np.mean(seconds, axis=0).tolist())

    def result(self) -> RoundEvaluation:
        """Compare the totals."""
        bootstrap, best = Bootstrap(seed=self._settings.seed), np.array(self._rows[""])
        found = {name: bootstrap.ratio_of_sums(best, np.array(row)) for name, row in self._rows.items() if name}
        oracle, clairvoyant = found.pop("query"), found.pop("round")
        selectors = {name.removeprefix("selector "): value for name, value in found.items()}
        return RoundEvaluation(selectors, oracle, clairvoyant, len(best))


def _every(
    train: Sequence[Trace],
    held_out: Sequence[Trace],
    arms: Mapping[str, ArmPlan],
    costs: CostProfile,
    settings: TrainingSettings,
) -> dict[str, list[Selector]]:
    """Return what is learned here and every published rule, those that draw once for each seed."""
    speed = fit_speed_selector(train, arms, costs, settings)
    found: dict[str, list[Selector]] = {"GatedSelector": [gated(speed, train, costs, settings)]}
    found["SpeedSelector"] = [speed]
    baselines = Baselines(arms, costs, settings)
    for name, selector in baselines.fitted(train, held_out).items():
        found[name] = [selector]
    for name, ones in baselines.random(held_out, range(1, N_SEEDS)).items():
        found[name] += ones
    return found
