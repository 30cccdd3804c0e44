"""What a learned choice per round is compared with: published rules, fitted on training texts where they can be."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bandits import LinUCB
from bandits.checks import Float64
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import Replayer
from speculative.collection.trace import Trace
from speculative.measuring.cost_profile import CostProfile
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector
from speculative.rounds.acceptance_model import AcceptanceModel
from speculative.rounds.hybrid_verified import HybridVerified
from speculative.rounds.playing import play
from speculative.rounds.query_gate import QueryGate
from speculative.rounds.round_policy import RoundPolicySelector
from speculative.rounds.training import TrainingSettings, layout_of, plain_rate, random_visits, round_data
from speculative.rounds.visited import accepted_counts
from speculative.selectors import AcceptanceGate, EXP3Spec, HedgeSpec, MetaSD, PriorityRule, TapOut, UCBSpec
from speculative.selectors.arm_subset import ArmSubset

MATCHES = (1, 2, 4)
GATE_THRESHOLDS = (0.1, 0.2, 0.3, 0.5)
GATE_WINDOW = 8


class ArmPerQuery(Selector):
    """One fixed arm for all rounds of a query: that of the least mean seconds over the nearest training queries.

    Args:
        gate: whose options are the arms.
    """

    def __init__(self, gate: QueryGate) -> None:
        self._gate = gate
        self._action: dict[str, int] = {}

    def start(self, query: QueryState) -> None:
        """Choose for the whole query."""
        if query.context is None:
            raise ValueError("a choice per query needs the query's context")
        self._action[query.request.id] = self._gate.choose(query.context)

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Return the choice already made."""
        return [self._action[round_.request_id] for round_ in rounds]

    def finish(self, request_id: str) -> None:
        """Forget the request."""
        self._action.pop(request_id, None)


@dataclass(frozen=True)
class Baselines:
    """Makes the published rules for a pool's fixed arms.

    Attributes:
        arms: name to plan, fixed arms, one of them without a draft.
        costs: seconds of this machine.
        settings: of the random walks and the acceptance model that some learn from.
    """

    arms: Mapping[str, ArmPlan]
    costs: CostProfile
    settings: TrainingSettings

    def fitted(self, train: Sequence[Trace], played: Sequence[Trace]) -> dict[str, Selector]:
        """Return every rule by its name.

        Args:
            train: texts that those which learn beforehand learn from.
            played: texts that they will be played on; only `HedgeSpec` looks at them, for what idle drafts would have
                got accepted in rounds that are over, whose price it is spared.
        """
        lengths = [plan.draft_length for plan in self.arms.values()]
        fixed = self.seconds(train)
        longest, plain = max(1, *lengths), lengths.index(0) if 0 in lengths else int(fixed.sum(axis=0).argmin())
        plain_round_s = self.costs.verify_s(1, int(np.mean([len(trace.prompt_ids) for trace in train])))
        contexts = np.stack([trace.context for trace in train])
        found: dict[str, Selector] = {
            "arm per query": ArmPerQuery(QueryGate.fit(contexts, fixed)),
            "UCBSpec": UCBSpec(longest),
            "UCBSpec by time": UCBSpec(longest, plain_round_s=plain_round_s, ucb_width=0.1),
            "MetaSD": MetaSD(longest),
            "TapOut": self._tap_out(fixed),
            "PriorityRule": self._priority_rule(train, fixed),
            "AcceptanceGate": self._acceptance_gate(train, fixed, plain),
        }
        drawn = {name: selector for name, [selector] in self.random(played, [0]).items()}
        return found | drawn | self._learned(train, fixed)

    def random(self, played: Sequence[Trace], seeds: Iterable[int]) -> dict[str, list[Selector]]:
        """Return those that draw, one for each seed."""
        lengths = [plan.draft_length for plan in self.arms.values()]
        found: dict[str, list[Selector]] = {"EXP3Spec": [], "HedgeSpec": []}
        for seed in seeds:
            told = self._would_accept(played)
            found["EXP3Spec"].append(EXP3Spec(max(1, *lengths), seed=seed))
            found["HedgeSpec"].append(HedgeSpec(lengths, seed=seed, would_accept=told))
        return found

    def seconds(self, traces: Sequence[Trace]) -> Float64:
        """Return every arm's seconds on every text, (n, k)."""
        rows = [Replayer(trace, self.costs) for trace in traces]
        return np.array([[row.play(plan).seconds for plan in self.arms.values()] for row in rows])

    def _would_accept(self, traces: Sequence[Trace]) -> "_WouldAccept":
        return _WouldAccept({trace.query_id: trace for trace in traces}, list(self.arms.values()))

    def _tap_out(self, fixed: Float64) -> Selector:
        """Return it over the lengths of the draft with the most, and no draft; of equals the faster one."""
        plans = list(self.arms.values())
        by_draft: dict[str, list[int]] = {}
        for action, plan in enumerate(plans):
            if plan.draft_length:
                by_draft.setdefault(plan.drafts[0][0], []).append(action)
        if not by_draft:
            return ArmSubset(TapOut(1), [0])
        actions = max(by_draft.values(), key=lambda own: (len(own), -fixed[:, own].sum(axis=0).min()))
        return ArmSubset(TapOut(max(plans[action].draft_length for action in actions)), actions)

    def _look_ups(self, train: Sequence[Trace]) -> list[int]:
        names = {name for name, trace in train[0].drafts.items() if trace.match_lengths is not None}
        return [i for i, plan in enumerate(self.arms.values()) if plan.draft_length and plan.drafts[0][0] in names]

    def _priority_rule(self, train: Sequence[Trace], fixed: Float64) -> Selector:
        """Return the look-up, least match and fallback of fewest seconds on the texts."""
        look_ups, plans = self._look_ups(train), list(self.arms.values())
        others = [action for action in range(len(plans)) if action not in look_ups]
        best_s, replayers = float(fixed.sum(axis=0).min()), [Replayer(trace, self.costs) for trace in train]
        chosen: tuple[tuple[int, int] | None, int] = None, int(fixed.sum(axis=0).argmin())
        for action in look_ups:
            for other in others:
                for least in MATCHES:
                    rule = ArmPlan((*plans[action].drafts, *plans[other].drafts), (least,))
                    seconds = sum(replayer.play(rule).seconds for replayer in replayers)
                    if seconds < best_s:
                        chosen, best_s = ((action, least), other), seconds
        clause, fallback = chosen
        return PriorityRule({} if clause is None else {clause[0]: clause[1]}, fallback=fallback)

    def _acceptance_gate(self, train: Sequence[Trace], fixed: Float64, plain: int) -> Selector:
        """Return it with the threshold of fewest seconds; it shuts for good, so each text has one of its own."""
        arm = int(fixed.sum(axis=0).argmin())
        plans = list(self.arms.values())

        def seconds(threshold: float) -> float:
            gates = (_gate(arm, plain, threshold) for _ in train)
            return sum(play(gate, plans, trace, self.costs).seconds for gate, trace in zip(gates, train, strict=True))

        return _Renewed(arm, plain, min(GATE_THRESHOLDS, key=seconds))

    def _learned(self, train: Sequence[Trace], fixed: Float64) -> dict[str, Selector]:
        """Return those that learn from round records: any policy, and a predictor of the cache draft's length."""
        layout = layout_of(train, self.arms, self.settings)
        plain_s = sum(self.costs.plain_s(len(trace.prompt_ids), len(trace.new_ids)) for trace in train)
        rate = plain_rate(train, self.costs) * plain_s / float(fixed.sum(axis=0).min())
        data = round_data(train, self.arms, self.costs, rate=rate, layout=layout, settings=self.settings)
        policy = RoundPolicySelector(LinUCB(ucb_width=0.0).fit(data), layout, np.random.default_rng(self.settings.seed))
        found: dict[str, Selector] = {"LinUCB per round": policy}
        look_ups = self._look_ups(train)
        others = [action for action in range(fixed.shape[1]) if action not in look_ups]
        if look_ups and others:
            visited = random_visits(train, layout, self.costs, self.settings)
            model = AcceptanceModel(layout, self.settings.ridge).fit(accepted_counts(visited, layout))
            totals, plans = fixed.sum(axis=0), list(self.arms.values())
            cache = min(look_ups, key=lambda action: totals[action])
            other = min(others, key=lambda action: totals[action])
            draft = plans[other].drafts[0]
            mean = float(np.mean([visit.trace.proposal(*draft, visit.n_new)[1] for visit in visited]))
            found["HybridVerified"] = HybridVerified(model, cache, other, threshold=mean)
        return found


@dataclass(frozen=True)
class _WouldAccept:
    """What each arm would have got accepted on traced texts."""

    traces: Mapping[str, Trace]
    plans: Sequence[ArmPlan]

    def __call__(self, request_id: str, arm: int, n_new: int) -> int:
        return self.traces[request_id].proposal(*self.plans[arm].drafts[0], n_new)[1]


def _gate(arm: int, plain: int, threshold: float) -> Selector:
    return AcceptanceGate(arm, plain, window_size=GATE_WINDOW, threshold=threshold)


class _Renewed(Selector):
    """A gate for each request: the one that ships shuts for all requests to come, which would only show their order."""

    def __init__(self, arm: int, plain: int, threshold: float) -> None:
        self._settings, self._gates = (arm, plain, threshold), dict[str, Selector]()

    def start(self, query: QueryState) -> None:
        """Open one."""
        self._gates[query.request.id] = _gate(*self._settings)

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Ask each request's own."""
        return [self._gates[round_.request_id].select([round_])[0] for round_ in rounds]

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Tell each request's own."""
        for observation in observations:
            self._gates[observation.request_id].observe([observation])

    def finish(self, request_id: str) -> None:
        """Forget it."""
        self._gates.pop(request_id, None)
