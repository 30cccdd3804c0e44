"""What the live page tells, gathered at one moment from the service, its log and its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bandits.online import ServedDomain
from bandits.policies.policy import Policy
from bandits.policies.predicts_rewards import PredictsRewards
from speculative.serving.metrics import Metrics
from speculative.serving.served_tail import ServedDecision, ServedTail, StageChange
from speculative.serving.service import Service
from speculative.serving.trial_curve import CurvePoint

N_SHOWN = 20


@dataclass(frozen=True, slots=True)
class ArmView:
    """One arm over the last decisions.

    Attributes:
        name: of the arm.
        state: "up", "masked" after failures, or "down" by a health check.
        n_chosen: decisions that took it.
        mean_reward: of those rewarded; None without any.
        ms_per_token: of all their tokens together; None where none was measured.
        n_failed: answers that it did not give, or not to the end.
    """

    name: str
    state: str
    n_chosen: int
    mean_reward: float | None
    ms_per_token: float | None
    n_failed: int


@dataclass(frozen=True, slots=True)
class ExplainedDecision:
    """A decision with why it was taken.

    Attributes:
        served: the decision and what came of it.
        expected: the reward that the present policy expects of each arm there; empty where it expects none.
    """

    served: ServedDecision
    expected: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RoundsView:
    """The rounds of an arm that chooses at every round, of those in which it chose one arm of the pool.

    Attributes:
        arm: that chooses.
        chosen: by it.
        n_rounds: since the server began.
        n_accepted: draft tokens accepted in them.
    """

    arm: str
    chosen: str
    n_rounds: int
    n_accepted: int


@dataclass(frozen=True, slots=True)
class LiveView:
    """All that the page shows.

    Attributes:
        stage: who decides at present.
        incumbent: who serves otherwise.
        policy: name of the policy's class, and how many decisions it was learned from.
        share: of the requests that the policy decides.
        exploration: of the requests that any arm may get.
        propensity_floor: least probability of each arm that is up.
        n_decisions: since the log began.
        n_running: requests being answered.
        chosen: the arms of the last decisions, oldest first.
        since: when the first of these was made, seconds since 1970; None without any.
        arms: in the pool's order.
        domains: the same decisions by what their clients call them; empty where none is called anything.
        decisions: the last ones, newest first.
        changes: of the stage, newest first.
        curves: points of the present trial, by the arm that the policy is compared with.
        n_answers: answers whose rounds can be looked at.
        rounds: of the arms that choose at every round.
        time_lost: seconds that other arms lost against the incumbent, and may lose by now; None without a limit.
    """

    stage: str
    incumbent: str
    policy: str
    share: float
    exploration: float
    propensity_floor: float
    n_decisions: int
    n_running: int
    chosen: Sequence[str]
    since: float | None
    arms: Sequence[ArmView]
    domains: Mapping[str | None, ServedDomain]
    decisions: Sequence[ExplainedDecision]
    changes: Sequence[StageChange]
    curves: Mapping[str, Sequence[CurvePoint]]
    n_answers: int
    rounds: Sequence[RoundsView]
    time_lost: tuple[float, float] | None


def live_view(service: Service, tail: ServedTail) -> LiveView:
    """Gather what the page tells; it reads the log, which may take a moment the first time."""
    decisions, changes = tail.read()
    chosen = [one.decision.decision.arm for one in decisions]
    arms = [_arm(name, breaker.state, decisions) for name, breaker in service.breakers.items()]
    policy, version = service.chosen
    guard = service.guard
    return LiveView(
        stage=service.stage,
        incumbent=service.settings.incumbent,
        policy=f"{type(policy).__name__}, learned from {version}",
        share=service.settings.share_of(service.stage),
        exploration=service.settings.exploration,
        propensity_floor=service.settings.propensity_floor,
        n_decisions=service.agent.log.n_decisions,
        n_running=service.n_running,
        chosen=chosen,
        since=decisions[0].decision.time if decisions else None,
        arms=arms,
        domains=_domains(decisions),
        decisions=[ExplainedDecision(one, _expected(policy, one)) for one in decisions[: -N_SHOWN - 1 : -1]],
        changes=changes[::-1],
        curves={arm: points for arm, curve in service.seen.curves.items() if (points := curve.points())},
        n_answers=len(service.seen.answers),
        rounds=_rounds(service.metrics),
        time_lost=None if guard is None else (guard.budget.lost_s, guard.budget.allowed_s),
    )


def _arm(name: str, state: str, decisions: Sequence[ServedDecision]) -> ArmView:
    own = [one for one in decisions if one.decision.decision.arm == name]
    rewards = [one.reward for one in own if one.reward is not None]
    timed = [(one.seconds, one.n_tokens) for one in own if one.seconds is not None and one.n_tokens]
    seconds, n_tokens = sum(seconds for seconds, _ in timed), sum(n for _, n in timed)
    return ArmView(
        name=name,
        state=state,
        n_chosen=len(own),
        mean_reward=float(np.mean(rewards)) if rewards else None,
        ms_per_token=1000 * seconds / n_tokens if n_tokens else None,
        n_failed=sum(one.reward is not None and one.end != "rewarded" for one in own),
    )


def _rounds(metrics: Metrics) -> list[RoundsView]:
    accepted = metrics.values("accepted_tokens_by_choice_total")
    counts = metrics.values("rounds_by_choice_total")
    return [
        RoundsView(arm, chosen, int(n), int(accepted.get((arm, chosen), 0)))
        for (arm, chosen), n in sorted(counts.items())
    ]


def _domains(decisions: Sequence[ServedDecision]) -> Mapping[str | None, ServedDomain]:
    found: dict[str | None, ServedDomain] = {}
    for one in decisions:
        domain = found.setdefault(one.decision.domain, ServedDomain())
        domain.chosen[one.decision.decision.arm] += 1
        if one.reward is not None:
            domain.take(one.reward, one.seconds, one.n_tokens, failed=one.end != "rewarded")
    return {} if set(found) <= {None} else found


def _expected(policy: Policy, one: ServedDecision) -> Mapping[str, float]:
    """Return what the policy, or the one inside it, expects of each arm for this context."""
    inner: object = policy
    while isinstance(inner, Policy) and not isinstance(inner, PredictsRewards):
        inner = inner.get_params().get("policy")
    if not isinstance(inner, PredictsRewards) or inner.state is None:
        return {}
    if inner.state.n_features != one.decision.context.size:
        return {}
    values = inner.predict_rewards(one.decision.context[None])[0]
    return dict(zip(inner.arm_names, values.tolist(), strict=True))
