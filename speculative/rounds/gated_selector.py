"""Both choices in one: which drafts a query should have, by its prompt; which of them a round should, by its record."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from bandits import ContextEncoder
from bandits.encoders.encoder import check_same_encoder
from bandits.policies import codec
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.trace import Trace
from speculative.measuring.cost_profile import CostProfile
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector
from speculative.rounds.acceptance_model import AcceptanceModel
from speculative.rounds.playing import play
from speculative.rounds.query_gate import QueryGate
from speculative.rounds.speed_selector import USUAL_CACHE_LENGTH, SpeedSelector
from speculative.rounds.training import DEFAULT, TrainingSettings, fit_speed_selector, tuned
from speculative.selectors.prefill_encoder import encode_query

KIND = "GatedSelector"
MOST_SETS = 8
IDLE_SHARES = (1.0, 0.3, 0.1, 0.0)
"""Of a set's drafts: once the prompt has admitted a draft, reading it may count for nothing."""


class GatedSelector(Selector):
    """Admits a set of drafts when a query begins, and lets a `SpeedSelector` choose among them at every round.

    A draft that must read the whole prompt before its first token is an investment over many rounds, which a choice
    for one round cannot weigh; what queries like this one gained by each set of drafts can. A query unlike all that it
    learned from, farther from each than they are from one another, is taken for the mean of them.

    Args:
        selectors: one for each set, of one model; they differ in the drafts left out and in their numbers.
        gate: chooses among them.
        encoder: of the prompts, where no trace tells their contexts.

    Raises:
        ValueError: if their numbers differ, or the gate or the model was learned with another encoder's contexts.
    """

    def __init__(
        self, selectors: Sequence[SpeedSelector], gate: QueryGate, encoder: ContextEncoder | None = None
    ) -> None:
        if len(selectors) != gate.seconds.shape[1]:
            raise ValueError(f"the gate chooses among {gate.seconds.shape[1]} selectors, got {len(selectors)}")
        if encoder is not None:
            check_same_encoder("the rounds", gate.encoder, "the selector", encoder.name)
        self.selectors, self.gate, self.encoder = tuple(selectors), gate, encoder
        self.layout, self.model = selectors[0].layout, selectors[0].model
        self._of: dict[str, SpeedSelector] = {}

    @property
    def n_requests(self) -> int:
        """Requests that it remembers."""
        return len(self._of)

    def start(self, query: QueryState) -> None:
        """Admit the drafts.

        Raises:
            ValueError: if there is no context, or one of another encoder.
        """
        check_same_encoder("the rounds", self.gate.encoder, "the query's context", query.encoder)
        context = query.context
        if context is None and self.encoder is not None:
            context = encode_query(self.encoder, query)
            query = replace(query, context=context, encoder=self.encoder.name)
        if context is None:
            raise ValueError("these rounds were learned with the prompt's context: give the selector its encoder")
        option, known = self.gate.choose_known(context)
        chosen = self.selectors[option]
        if not known:  # what it would say of such a prompt was learned from none
            query = replace(query, context=self.gate.mean.astype(np.float32))
        chosen.start(query)
        self._of[query.request.id] = chosen

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Let each request's selector choose."""
        return [self._of[round_.request_id].select([round_])[0] for round_ in rounds]

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Tell each request's selector."""
        for observation in observations:
            self._of[observation.request_id].observe([observation])

    def finish(self, request_id: str) -> None:
        """Forget the request."""
        chosen = self._of.pop(request_id, None)
        if chosen is not None:
            chosen.finish(request_id)

    def with_costs(self, costs: CostProfile) -> "GatedSelector":
        """Return one with another machine's profile; all else stays what was learned."""
        return GatedSelector([one.with_changes(costs) for one in self.selectors], self.gate, self.encoder)

    def save(self, path: str | Path, target_name: str | None = None) -> Path:
        """Write it, without a profile, to a folder or a .safetensors file, and return the file's path.

        Args:
            path: of the folder or file.
            target_name: last part of the name of the target whose texts it was learned from, for `saved_target`.
        """
        header, tensors = self.model.content()
        gate, arrays = self.gate.content()
        arms = {name: list(plan.drafts[0]) for name, plan in self.layout.arms.items()}
        numbers = [
            {
                "speedup": one.rate * one.plain_round_s,
                "inertia": None if one.inertia == float("inf") else one.inertia,
                "idle_share": one.idle_share,
                "left_out": list(one.left_out),
            }
            for one in self.selectors
        ]
        header |= {"class": KIND, "arms": arms, "selectors": numbers, "gate": gate, "target": target_name}
        return codec.write_file(path, header, tensors | arrays)

    @classmethod
    def load(
        cls,
        path: str | Path,
        costs: CostProfile,
        encoder: ContextEncoder | None = None,
    ) -> "GatedSelector":
        """Read what `save` wrote, for a machine; `layout.arms` tells the arms that it chooses among.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged, holds something else, was learned from other records, or the profile lacks
                one of its drafts.
        """
        plans, header, tensors = _read(path)
        numbers = header.get("selectors")
        if not isinstance(numbers, list):
            raise ValueError(f"{path} does not say what it chooses by: train it again")
        model = AcceptanceModel.of_content(path, header, tensors, plans)
        plain_s = costs.verify_s(1, USUAL_CACHE_LENGTH)
        selectors = [
            SpeedSelector(
                model,
                costs,
                rate=one["speedup"] / plain_s,
                inertia=float("inf") if one["inertia"] is None else one["inertia"],
                idle_share=one["idle_share"],
            ).with_changes(costs, left_out=one["left_out"])
            for one in numbers
        ]
        return cls(selectors, QueryGate.of_content(header.get("gate"), tensors, len(selectors)), encoder)


def saved_arms(path: str | Path) -> dict[str, ArmPlan]:
    """Return the arms that a saved selector chooses among, name to plan: known before any profile is measured.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or holds something else.
    """
    return _read(path)[0]


def saved_target(path: str | Path) -> str | None:
    """Return which target's texts a saved selector was learned from, by its name's last part; None if it does not say.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or holds something else.
    """
    name = _read(path)[1].get("target")
    return name if isinstance(name, str) else None


def _read(path: str | Path) -> tuple[dict[str, ArmPlan], dict[str, object], dict[str, np.ndarray]]:
    """Return arms, header and arrays of a file."""
    header, tensors = codec.read_file(path)
    if header.get("class") != KIND:
        raise ValueError(f"{path} holds a {header.get('class')}, not a {KIND}: train it with --rounds")
    arms = header.get("arms")
    if not isinstance(arms, Mapping):
        raise ValueError(f"{path} does not say what it chooses among: train it again")
    plans = {str(name): ArmPlan.fixed(str(draft), int(length)) for name, (draft, length) in arms.items()}
    return plans, header, tensors


def fit_gated_selector(
    traces: Sequence[Trace],
    arms: Mapping[str, ArmPlan],
    costs: CostProfile,
    settings: TrainingSettings = DEFAULT,
    encoder: ContextEncoder | None = None,
) -> GatedSelector:
    """Fit a `SpeedSelector`, tune it for each set of drafts, and learn which set suits which prompt.

    Arguments and errors are those of `fit_speed_selector`.
    """
    return gated(fit_speed_selector(traces, arms, costs, settings, encoder), traces, costs, settings)


def gated(
    selector: SpeedSelector, traces: Sequence[Trace], costs: CostProfile, settings: TrainingSettings = DEFAULT
) -> GatedSelector:
    """Tune a selector for each set of drafts on texts, and learn which set suits which prompt; no model is fitted."""
    plans = list(selector.layout.arms.values())
    wide = replace(settings, idle_shares=IDLE_SHARES)
    selectors = [
        tuned(selector.with_changes(costs, left_out=left_out), traces, costs, wide)
        for left_out in sets_left_out(selector, traces)
    ]
    seconds = np.array([[play(one, plans, trace, costs).seconds for one in selectors] for trace in traces])
    contexts = np.stack([trace.context for trace in traces])
    return GatedSelector(selectors, QueryGate.fit(contexts, seconds, traces[0].encoder), selector.encoder)


def sets_left_out(selector: SpeedSelector, traces: Sequence[Trace]) -> list[tuple[str, ...]]:
    """Return the sets of drafts to leave out: none of them first, then every set of those that look nothing up.

    Where these are more than `MOST_SETS`: none, all of them, and all but one.
    """
    models = [name for name in selector.layout.drafts if traces[0].drafts[name].match_lengths is None]
    if all(draft is not None and selector.layout.drafts[draft] in models for draft in selector.layout.draft_of):
        models = models[:-1]  # one arm must be left
    found = [left for n in range(len(models) + 1) for left in combinations(models, n)]
    if len(found) <= MOST_SETS:
        return found
    return [(), tuple(models), *(tuple(one for one in models if one != kept) for kept in models)]
