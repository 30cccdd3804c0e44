"""A bound on the time that arms may lose against the incumbent, for answers that are served."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from arms import Observation
from bandits import DecisionLog
from bandits.online import TimeBudget
from bandits.online.segments import BEGINNING, Position, read_records
from speculative.serving.metrics import Metrics

_KIND = "time_budget"  # of the log's record


class Guard:
    """Masks the arms that a budget of lost seconds does not allow; the incumbent is the safe arm (see `TimeBudget`).

    A pull is an answer, its units are tokens, and an arm that gives none has lost all of its seconds. Where the
    incumbent itself cannot be asked there is nothing to fall back on, and no arm is masked. All calls come from the
    thread that writes the log, so that what is counted follows it. The budget, and when it was set, stands in the log
    too: a server that starts again with the same one goes on with what its log holds since then.

    Args:
        budget: of the seconds.
        incumbent: the safe arm.
        log: the decision log.
        metrics: are told where the budget stands.
    """

    def __init__(self, budget: TimeBudget, incumbent: str, log: DecisionLog, metrics: Metrics) -> None:
        self.budget, self._incumbent, self._log, self._metrics = budget, incumbent, log, metrics
        asked = {"seconds": budget.budget_s, "share": budget.share, "incumbent": incumbent}
        before, begun = None, BEGINNING
        for placed in read_records(log.folder, BEGINNING):
            if placed.record["kind"] == _KIND:
                before, begun = {name: placed.record.get(name) for name in asked}, placed.end
        if before == asked:
            self._count(log.folder, begun)
        else:
            log.noted(_KIND, asked)
        self._tell()

    def among(self, available: Sequence[str]) -> list[str]:
        """Return the arms that may be chosen from now."""
        if self._incumbent not in available:
            return list(available)
        allowed = [arm for arm in available if arm == self._incumbent or self.budget.allows(arm)]
        if len(allowed) < len(available):
            self._metrics.add("decisions_withheld_total")
        return allowed

    def began(self, decision_id: str, arm: str) -> None:
        """Stake an answer that was decided."""
        if arm != self._incumbent:
            self.budget.begin(decision_id, arm)

    def seen(self, observation: Observation) -> None:
        """Count an answer, or what of one its client has waited for."""
        n_tokens = 0 if observation.failure is not None else observation.n_tokens
        self._ended(observation.query_id, observation.arm, observation.seconds, n_tokens)

    def dropped(self, decision_id: str) -> None:
        """Forget an answer that says nothing of its arm."""
        self.budget.drop(decision_id)

    def _ended(self, decision_id: str, arm: str, seconds: float, n_tokens: int) -> None:
        if arm == self._incumbent:
            self.budget.ran_safe(seconds, n_tokens)
        else:
            self.budget.end(decision_id, seconds, n_tokens, arm=arm)
        self._tell()

    def _count(self, folder: Path, begun: Position) -> None:
        for placed in read_records(folder, begun):
            record = cast("dict[str, Any]", placed.record)  # its checksum vouches for the types
            facts = record["observation"] if record["kind"] == "rewarded" else None
            if facts is not None:
                n_tokens = 0 if facts["failure"] is not None else facts["n_tokens"]
                self._ended(record["query"], facts["arm"], facts["seconds"], n_tokens)

    def _tell(self) -> None:
        self._metrics.set("time_lost_seconds", self.budget.lost_s)
        self._metrics.set("time_budget_seconds", self.budget.allowed_s)
