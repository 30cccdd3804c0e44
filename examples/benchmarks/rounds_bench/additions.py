"""What a choice per round could be given beside: idle drafts that are kept caught up, and drafts that stop early."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bandits import Bootstrap
from rounds_bench.setting import Setting
from speculative.collection.trace import Trace
from speculative.protocols.draft_trace import DraftTrace
from speculative.rounds import SpeedSelector, TrainingSettings, fit_speed_selector


def additions(setting: Setting, whole: SpeedSelector, settings: TrainingSettings) -> dict[str, dict[str, float]]:
    """Return, for each addition, how many times as fast a selector learned and played with it is as one without."""
    seconds, bootstrap = setting.seconds(whole), Bootstrap(seed=settings.seed)
    least = {draft: setting.costs.least_confidence(draft) for draft in whole.layout.drafts}
    ways: dict[str, Callable[[DraftTrace, str], DraftTrace]] = {
        "drafts that stop where unsure": lambda found, draft: stopped(found, least[draft]),
        "idle drafts kept caught up": lambda found, draft: kept_up(found),
    }
    result = {}
    for name, way in ways.items():
        other = replace(setting, train=_changed(setting.train, way), test=_changed(setting.test, way))
        own = other.seconds(fit_speed_selector(other.train, other.arms, other.costs, settings))
        ratio = bootstrap.ratio_of_sums(seconds, own)
        result[name] = {"value": ratio.value, "low": ratio.low, "high": ratio.high}
    return result


def stopped(found: DraftTrace, least: float) -> DraftTrace:
    """Let a draft stop where its own probability of all that it proposed falls below `least`.

    What it is unsure of after a token that the target rejects is not in a trace: there it goes on, which costs more.
    """
    assert found.confidences is not None
    proposed, accepted, n_new = found.proposed.copy(), found.accepted.copy(), len(found.accepted)
    for j in range(1, n_new):
        sure = np.cumprod(found.confidences[j : j + min(int(proposed[j]), int(accepted[j]) + 1)])
        below = np.flatnonzero(sure < least)
        if len(below):
            proposed[j], accepted[j] = below[0], min(below[0], accepted[j])
    return replace(found, proposed=proposed, accepted=accepted, stops=True)


def kept_up(found: DraftTrace) -> DraftTrace:
    """Let a draft read on in every round, asked or not, and tell how many last tokens in a row it would have foretold.

    It is told and charged as a look-up's match is, a round's fixed seconds and those of reading; the number is one more
    than the tokens, because a match of none means that there is nothing to propose.
    """
    runs = np.zeros(len(found.accepted), dtype=np.int32)
    for j in range(2, len(runs)):
        runs[j] = runs[j - 1] + 1 if found.accepted[j - 1] > 0 else 0
    return replace(found, match_lengths=runs + 1)


def _changed(traces: Sequence[Trace], way: Callable[[DraftTrace, str], DraftTrace]) -> list[Trace]:
    """Return the traces with those of draft models changed, which alone know how sure they are."""

    def of(drafts: Mapping[str, DraftTrace]) -> dict[str, DraftTrace]:
        return {name: way(one, name) if _is_model(one) else one for name, one in drafts.items()}

    return [replace(trace, drafts=of(trace.drafts)) for trace in traces]


def _is_model(found: DraftTrace) -> bool:
    return found.confidences is not None and found.match_lengths is None
