"""A choice at every round, learned from the training texts and played on others, its own time counted."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from bandits.checks import Float64
from paper_parts.stored import Stored
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.trace import Trace
from speculative.measuring.cost_profile import CostProfile
from speculative.protocols.selector import Selector
from speculative.rounds import Baselines, TrainingSettings, fit_speed_selector, gated, play
from speculative.selectors.fixed import FixedSelector

PUBLISHED = ("UCBSpec", "MetaSD", "TapOut", "EXP3Spec", "HedgeSpec")
SPEED, PRIOR, GATED = "SpeedSelector without the prompt", "SpeedSelector", "GatedSelector"
RIDGE = "LinUCB per round"
READS_PROMPT = (PRIOR, GATED, RIDGE)


def learned_selectors(stored: Stored) -> dict[str, Selector]:
    """Return the library's choices per round by name, learned beforehand: one that does not see the prompt, two do."""
    traces, arms, costs = stored.sides["train"].traces, _arms(stored), stored.costs
    speed = fit_speed_selector(traces, arms, costs)
    return {
        SPEED: fit_speed_selector(traces, arms, costs, TrainingSettings(n_prompt_features=0)),
        PRIOR: speed,
        GATED: gated(speed, traces, costs, TrainingSettings()),
    }


def baseline_selectors(stored: Stored) -> dict[str, Selector]:
    """Return what a choice per round is compared with: published rules that learn as they play, and `RIDGE`.

    `RIDGE` learns beforehand, from the training texts, which also tell `TapOut` whose lengths it learns.
    """
    baselines = Baselines(_arms(stored), stored.costs, TrainingSettings())
    found = baselines.fitted(stored.sides["train"].traces, stored.sides["test"].traces)
    return {name: found[name] for name in (*PUBLISHED, RIDGE)}


def played_s(stored: Stored, name: str, selector: Selector, side: str) -> Float64:
    """Return the seconds (n,) of each text of a side, with what the selector and its context take."""
    plans, costs = list(_arms(stored).values()), stored.costs
    traces = stored.sides[side].traces
    seconds, n_rounds, took = _play(selector, plans, traces, costs)
    _, n_plain, plain = _play(FixedSelector(0), plans, traces[:10], costs)
    own_s = max(0.0, took / n_rounds.sum() - plain / n_plain.sum())
    return seconds + own_s * n_rounds + (stored.encode_s(side) if name in READS_PROMPT else 0.0)


def _play(
    selector: Selector, plans: Sequence[ArmPlan], traces: Sequence[Trace], costs: CostProfile
) -> tuple[Float64, Float64, float]:
    begin = time.process_time()  # not what other work on the machine takes
    played = [play(selector, plans, trace, costs) for trace in traces]
    took = time.process_time() - begin
    return np.array([one.seconds for one in played]), np.array([max(1, len(one.actions)) for one in played]), took


def _arms(stored: Stored) -> Mapping[str, ArmPlan]:
    return {arm: stored.plan(arm) for arm in stored.target.full}
