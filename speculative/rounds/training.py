"""From traces to a selector per round: visited rounds, what every arm brings there, and the rate that is reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arms.checks import at_least, positive
from bandits import ContextEncoder, FullInformationData
from bandits.encoders.encoder import check_same_encoder
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.trace import Trace
from speculative.measuring.cost_profile import CostProfile
from speculative.rounds.acceptance_model import AcceptanceModel
from speculative.rounds.playing import play
from speculative.rounds.prompt_features import PromptFeatures
from speculative.rounds.record import RecordLayout
from speculative.rounds.round_costs import RoundCosts
from speculative.rounds.round_selector import RoundSelector
from speculative.rounds.speed_selector import SpeedSelector
from speculative.rounds.visited import RandomRounds, Visit, accepted_counts, visits

RATE_FACTORS = (0.87, 1.15)
N_RATES = 8  # most steps of the search for the rate, which mostly takes three


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How a selector per round is fitted.

    Attributes:
        n_walks: walks with arms at random through each text, >= 1.
        n_passes: times that the model is fitted, each with the rounds that its selector came by before, >= 1.
        ridge: of the acceptance model, > 0.
        n_prompt_features: principal components of the prompts' contexts, >= 0.
        inertias: of the rate; of these and the shares, those of fewest seconds on the training texts are taken.
        idle_shares: of reading, held against one round; see `SpeedSelector`.
        seed: of the random walks.
        without: numbers of the records that the model is not shown; see `AcceptanceModel.fit`.
    """

    n_walks: int = 4
    n_passes: int = 2
    ridge: float = 10.0
    n_prompt_features: int = 8
    inertias: tuple[float, ...] = (float("inf"), 16.0)
    idle_shares: tuple[float, ...] = (1.0, 0.3, 0.1)
    seed: int = 0
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        at_least(self.n_walks, 1, "n_walks")
        at_least(self.n_passes, 1, "n_passes")
        positive(self.ridge, "ridge")
        at_least(self.n_prompt_features, 0, "n_prompt_features")
        at_least(self.seed, 0, "seed")


DEFAULT = TrainingSettings()


def fit_speed_selector(
    traces: Sequence[Trace],
    arms: Mapping[str, ArmPlan],
    costs: CostProfile,
    settings: TrainingSettings = DEFAULT,
    encoder: ContextEncoder | None = None,
) -> SpeedSelector:
    """Fit an acceptance model on traced texts and find the rate that its selector reaches on them.

    Args:
        traces: of training prompts, at least one with more than one new token.
        arms: name to plan, fixed arms, in the engine's order.
        costs: seconds of this machine.
        settings: see there.
        encoder: makes the contexts of prompts that an engine will be asked; not needed to play traces.

    Raises:
        ValueError: if an arm is a rule or was not traced, the profile lacks a draft, no text has a round, or the
            traces' contexts are of another encoder.
    """
    layout = layout_of(traces, arms, settings)
    found = random_visits(traces, layout, costs, settings)
    model = AcceptanceModel(layout, settings.ridge).fit(accepted_counts(found, layout), settings.without)
    selector = tuned(
        SpeedSelector(model, costs, rate=plain_rate(traces, costs), encoder=encoder), traces, costs, settings
    )
    for _ in range(1, settings.n_passes):
        found += visits(selector, traces, costs) * settings.n_walks
        model = AcceptanceModel(layout, settings.ridge).fit(accepted_counts(found, layout), settings.without)
        selector = tuned(SpeedSelector(model, costs, rate=selector.rate, encoder=encoder), traces, costs, settings)
    return selector


def tuned(
    selector: SpeedSelector, traces: Sequence[Trace], costs: CostProfile, settings: TrainingSettings = DEFAULT
) -> SpeedSelector:
    """Return the selector with the rate that it reaches on these texts, and the best of the settings' numbers.

    No model is fitted. Use it after a change of the profile: on another machine, or at another load.
    """
    tried = selector.with_changes(costs)
    best = tried, float("inf")
    for _ in range(N_RATES):
        total_s = played_s(tried, traces, costs)
        if total_s >= best[1] * (1 - 1e-6):
            break
        best = tried, total_s
        tried = tried.with_changes(costs, rate=_n_tokens(traces) / (total_s - _prefill_s(traces, costs)))
    found = best[0]
    shares = [found.with_changes(costs, idle_share=one) for one in settings.idle_shares if one != found.idle_share]
    found, _ = best = _fastest(best, shares, traces, costs)
    rates = [found.with_changes(costs, rate=found.rate * factor) for factor in RATE_FACTORS]
    found, _ = best = _fastest(best, rates, traces, costs)
    inertias = [found.with_changes(costs, inertia=one) for one in settings.inertias if one != found.inertia]
    return _fastest(best, inertias, traces, costs)[0]


def played_s(selector: RoundSelector, traces: Sequence[Trace], costs: CostProfile) -> float:
    """Return the total seconds of a selector played through each text."""
    plans = list(selector.layout.arms.values())
    return sum(play(selector, plans, trace, costs).seconds for trace in traces)


def _fastest(
    best: tuple[SpeedSelector, float], others: Sequence[SpeedSelector], traces: Sequence[Trace], costs: CostProfile
) -> tuple[SpeedSelector, float]:
    """Return the selector of fewest seconds and these; the best so far is not played again."""
    return min([best, *((one, played_s(one, traces, costs)) for one in others)], key=lambda timed: timed[1])


def round_data(
    traces: Sequence[Trace],
    arms: Mapping[str, ArmPlan],
    costs: CostProfile,
    *,
    rate: float,
    layout: RecordLayout | None = None,
    settings: TrainingSettings = DEFAULT,
) -> FullInformationData:
    """Return what every arm would have brought in rounds of traced texts, a round a row, for policies to learn from.

    The reward is the time saved: new tokens / rate - seconds. Contexts are the round records. The value of a policy is
    found by playing it through the texts (`play`), never by averaging over these rows.

    Args:
        traces: of training prompts.
        arms: name to plan, fixed arms.
        costs: seconds of this machine, which are the data's costs too.
        rate: tokens per second that a new token is worth, as `SpeedSelector.rate`.
        layout: of the records and these arms, by default `layout_of` the traces.
        settings: of the random walks.

    Raises:
        ValueError: if an arm is a rule or was not traced, the profile lacks a draft, no text has a round, or the layout
            is of other arms.
    """
    positive(rate, "rate")
    layout = layout or layout_of(traces, arms, settings)
    if list(layout.arms.items()) != list(arms.items()):
        raise ValueError(f"the layout is of the arms {', '.join(layout.arms)}, got {', '.join(arms)}: give it these")
    found = random_visits(traces, layout, costs, settings)
    table = RoundCosts(layout, costs)
    n_new, seconds = np.zeros((2, len(found), len(arms)))
    for row, visit in enumerate(found):
        pairs = [visit.trace.proposal(*plan.drafts[0], visit.n_new) for plan in arms.values()]
        counts = np.array(pairs, dtype=np.int64)
        n_new[row] = counts[:, 1] + 1
        cache_length = len(visit.trace.prompt_ids) + visit.n_new - 1
        drafted = [visit.trace.n_drafted(*plan.drafts[0], visit.n_new) for plan in arms.values()]
        left_out = np.array(drafted) - np.maximum(counts[:, 0], 0)
        seconds[row] = table.seconds(cache_length, counts[:, 0], visit.record) + table.token_s * left_out
    return FullInformationData(
        np.stack([visit.record.values for visit in found]),
        n_new / rate - seconds,
        tuple(arms),
        costs=seconds,
        query_ids=tuple(visit.trace.query_id for visit in found),
        encoder=layout.mark,
        cost_profiles=(costs.digest,),
    )


def layout_of(traces: Sequence[Trace], arms: Mapping[str, ArmPlan], settings: TrainingSettings) -> RecordLayout:
    """Return the layout of the arms, with the main directions of the texts' contexts.

    Raises:
        ValueError: if the contexts are of two encoders.
    """
    encoder = next((trace.encoder for trace in traces if trace.encoder is not None), None)
    for trace in traces:
        check_same_encoder("the texts before", encoder, f"the text of query {trace.query_id!r}", trace.encoder)
    contexts = np.stack([trace.context for trace in traces])
    prompt = PromptFeatures.fit(contexts, settings.n_prompt_features, encoder)
    return RecordLayout(arms, prompt if len(prompt.components) else None)


def random_visits(
    traces: Sequence[Trace], layout: RecordLayout, costs: CostProfile, settings: TrainingSettings
) -> list[Visit]:
    """Return the rounds of random walks through each text."""
    selector = RandomRounds(layout, np.random.default_rng(settings.seed))
    found = [visit for _ in range(settings.n_walks) for visit in visits(selector, traces, costs)]
    if not found:
        raise ValueError(f"none of the {len(traces)} texts has a round: each has one new token or there is none")
    return found


def _n_tokens(traces: Sequence[Trace]) -> int:
    return sum(len(trace.new_ids) - 1 for trace in traces)


def _prefill_s(traces: Sequence[Trace], costs: CostProfile) -> float:
    return sum(costs.prefill_s(len(trace.prompt_ids)) for trace in traces)


def plain_rate(traces: Sequence[Trace], costs: CostProfile) -> float:
    """Return tokens per second after the first token, without a draft."""
    plain_s = sum(costs.plain_s(len(trace.prompt_ids), len(trace.new_ids)) for trace in traces)
    return _n_tokens(traces) / (plain_s - _prefill_s(traces, costs))
