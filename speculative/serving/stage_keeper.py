"""Moving a policy up and down the stages by what the log shows, and saying why."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from bandits.data.decision import Decision
from bandits.online import LoggedDecision, Trial
from bandits.online.segments import BEGINNING, read_records
from speculative.serving.service import Service
from speculative.serving.settings import STAGES, Stage
from speculative.serving.trial_curve import TrialCurve

NO_DRAFT = "no_draft"
LOGGER = logging.getLogger(__name__)


class StageKeeper:
    """Reads the log, and promotes a policy that is better than the incumbent, or takes back one that is worse.

    Where the pool has an arm named `no_draft`, the policy is compared with it too: in the canary and live stages a
    policy that earns less than either goes back to shadow; where the settings ask for it, one that earns more than both
    goes up a stage. Each time a stage is entered new trials begin, the n-th with level / (n * (n + 1)), shared by its
    trials, so that all of them together are ever wrong with probability `level` at most. Every change stands in the log
    with its reason and the arms whose bounds decided it, from which a server that starts again knows its stage and goes
    on with its trials. With other arms or shares than before it begins new ones: the old decisions' weights are of
    other bounds.

    Args:
        service: whose log is read, and whose stage is changed.

    Attributes:
        trials: of the present stage, by the arm that the policy is compared with; the incumbent first.
    """

    def __init__(self, service: Service) -> None:
        self._service, self._settings = service, service.settings
        self._position = BEGINNING
        self._asked: str | None = None
        self._drawn: object = None
        self._n_entered, self._first_number = 0, 0
        self._stage: Stage = service.stage
        self._decisions: dict[int, Decision] = {}
        self._begin_trials()
        self._read()
        if self._asked != self._settings.stage:
            self._change(self._settings.stage, "asked for")
        elif self._drawn != self._drawn_from():
            self._change(self._stage, f"{_changed(self._drawn, self._drawn_from())}: a new trial begins")
        else:
            service.enter(self._stage)

    def step(self) -> None:
        """Read what is new, and change the stage if the trial says so."""
        self._read()
        place = STAGES.index(self._stage)
        better = [arm for arm, trial in self.trials.items() if trial.is_better]
        worse = [arm for arm, trial in self.trials.items() if trial.is_worse]
        if place > 0 and worse:
            self._change("shadow", "worse", worse)
        elif place + 1 < len(STAGES) and self._settings.promote and len(better) == len(self.trials):
            self._change(STAGES[place + 1], "better", better)
        for arm, trial in self.trials.items():
            self._tell("gain_over_incumbent" if arm == self._settings.incumbent else "gain_over_no_draft", trial)
        self._service.metrics.set("trial_decisions", self.trials[self._settings.incumbent].n)

    def note_arms(self, arms: Iterable[str], cause: str) -> None:
        """Write down that other arms serve from now on; the next step begins a new trial with them.

        To be called by the thread that writes the log, at the moment from which they serve.

        Args:
            arms: their names.
            cause: of the change.

        Raises:
            OSError: if it cannot be written.
        """
        drawn = self._drawn_from(arms)
        self._note(self._stage, f"{_changed(self._drawn_from(), drawn)} ({cause}): a new trial begins", drawn)

    def _tell(self, name: str, trial: Trial) -> None:
        low, high = trial.interval
        for end, value in (("low", low), ("estimate", trial.estimate), ("high", high)):
            self._service.metrics.set(name, value, end=end)

    def _change(self, stage: Stage, reason: str, decided_by: Sequence[str] = ()) -> None:
        if decided_by:
            reason = f"{reason} than {' and '.join(decided_by)}: {'; '.join(map(self._shown, decided_by))}"
        self._note(stage, reason, self._drawn_from(), decided_by)
        self._service.metrics.add("stage_changes_total", stage=stage)
        self._service.enter(stage)
        self._read()

    def _note(self, stage: Stage, reason: str, drawn: Mapping[str, object], decided_by: Sequence[str] = ()) -> None:
        log = self._service.agent.log
        facts = {"stage": stage, "asked": self._settings.stage, "reason": reason, "next_number": log.n_decisions}
        log.noted("stage", {**facts, "decided_by": list(decided_by), "drawn": drawn})
        LOGGER.warning("stage %s: %s", stage, reason)

    def _read(self) -> None:
        for placed in read_records(self._service.agent.log.folder, self._position):
            self._position = placed.end
            record = cast("dict[str, Any]", placed.record)  # its checksum vouches for the types
            match record["kind"]:
                case "stage":
                    self._entered(record)
                case "decided" if record["number"] >= self._first_number:
                    self._decisions[record["number"]] = LoggedDecision.from_record(record).decision
                case "dropped":
                    self._decisions.pop(record["number"], None)
                case "rewarded":
                    decision = self._decisions.pop(record["number"], None)
                    if decision is not None:
                        self._rewarded(decision, record["reward"])

    def _entered(self, record: dict[str, Any]) -> None:
        self._stage, self._asked, self._first_number = record["stage"], record["asked"], record["next_number"]
        self._drawn = record.get("drawn")
        self._n_entered += 1
        self._decisions.clear()
        self._begin_trials()

    def _drawn_from(self, arms: Iterable[str] | None = None) -> dict[str, object]:
        """Return what bounds the weights of a trial, as JSON values; what was drawn otherwise is of another trial.

        Args:
            arms: their names; None for the service's.
        """
        settings = self._settings
        shares = {name: getattr(settings, name) for name in ("share", "exploration", "propensity_floor")}
        return {"incumbent": settings.incumbent, **shares, "arms": sorted(self._service.arms if arms is None else arms)}

    def _rewarded(self, decision: Decision, reward: float) -> None:
        for trial in self.trials.values():
            trial.take(decision, reward)
        for curve in self._service.seen.curves.values():
            curve.step()

    def _begin_trials(self) -> None:
        incumbent = self._settings.incumbent
        compared = dict.fromkeys([incumbent, *([NO_DRAFT] if NO_DRAFT in self._service.arms else [])])
        n = max(1, self._n_entered)
        level = self._settings.level / (n * (n + 1)) / len(compared)
        rollout = self._service.rollout(self._service.chosen[0], self._stage)
        bounds = self._service.agent.reward_bounds
        self.trials = {arm: Trial(arm, bounds, most_weight=rollout.most_weight(arm), level=level) for arm in compared}
        self._service.seen.curves = {arm: TrialCurve(trial) for arm, trial in self.trials.items()}

    def _shown(self, arm: str) -> str:
        trial = self.trials[arm]
        low, high = trial.interval
        return f"it earns {low:+.3g} to {high:+.3g} more a decision than {arm}, told from {trial.n} decisions"


def _changed(before: object, after: Mapping[str, object]) -> str:
    """Say what tells the choices of one trial from those of another."""
    known = before if isinstance(before, Mapping) else {}
    old, new = (cast("list[str]", one.get("arms", [])) for one in (known, after))
    told = [f"arm {name} joins" for name in new if name not in old]
    told += [f"arm {name} leaves" for name in old if name not in new]
    told += [f"{name} is now {value}" for name, value in after.items() if name != "arms" and known.get(name) != value]
    return ", ".join(told)
