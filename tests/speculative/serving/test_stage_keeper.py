"""A better policy goes up stage by stage, a worse one back to shadow; the log says why, and a restart goes on."""

from contextlib import contextmanager

import numpy as np
import pytest

from arms import Query
from bandits import Agent, DecisionLog, HashingEncoder, LinUCB
from bandits.online.segments import read_records
from speculative.serving.service import Service
from speculative.serving.settings import CallerReward, ServiceSettings
from speculative.serving.stage_keeper import StageKeeper
from tests.support.silent_arm import SilentArm

NAMES = ("old", "new")


def takes_new(names):
    rewards = [float(name == "new") for name in names]
    policy = LinUCB(arm_names=names, ucb_width=0.0)
    return policy.fit(np.zeros((2 * len(names), 4), np.float32), [*range(len(names))] * 2, rewards * 2, arm_names=names)


@contextmanager
def kept(folder, names=NAMES, **changes):
    settings = ServiceSettings(
        "old", share=0.5, rewards="caller", **{"exploration": 0.2, "promote": True, "level": 0.2, **changes}
    )
    with DecisionLog(folder, sync_every=0) as log:
        agent = Agent(takes_new(names), HashingEncoder(4), log, reward=CallerReward(0.0), seed=1)
        service = Service([SilentArm(name) for name in names], agent, settings)
        try:
            yield service, StageKeeper(service)
        finally:
            service.end_writing()


def play(service, keeper, n, means):
    """Serve n queries, a step of the keeper after each ten, and return the stages on the way."""
    rng, stages, first = np.random.default_rng(0), [service.stage], service.agent.log.n_decisions
    for number in range(first, first + n):
        decision = service.agent.choose(Query(id=f"q{number}", prompt="words"))
        service.agent.reward(f"q{number}", means[decision.arm] + rng.uniform(-0.05, 0.05))
        if number % 10 == 9:
            keeper.step()
            if service.stage != stages[-1]:
                stages.append(service.stage)
    return stages


def notes(folder):
    return [placed.record for placed in read_records(folder) if placed.record["kind"] == "stage"]


def test_a_better_policy_is_promoted_stage_by_stage_and_the_log_says_why(tmp_path):
    with kept(tmp_path) as (service, keeper):
        assert play(service, keeper, 600, {"old": 0.5, "new": 0.9, "no_draft": 0.4}) == ["shadow", "canary", "live"]
    changes = notes(tmp_path)
    assert [note["stage"] for note in changes] == ["shadow", "canary", "live"]
    assert changes[0]["reason"] == "asked for"
    assert all(note["reason"].startswith("better than old: it earns +0.") for note in changes[1:])


@pytest.mark.parametrize("stage", ["canary", "live"])
def test_a_worse_policy_goes_back_to_shadow_and_stays_there(tmp_path, stage):
    with kept(tmp_path, stage=stage) as (service, keeper):
        assert play(service, keeper, 600, {"old": 0.5, "new": 0.1, "no_draft": 0.4}) == [stage, "shadow"]
    assert notes(tmp_path)[-1]["reason"].startswith("worse than old: it earns -0.")


def test_nothing_is_promoted_that_was_not_asked_to_be(tmp_path):
    with kept(tmp_path, promote=False) as (service, keeper):
        assert play(service, keeper, 300, {"old": 0.5, "new": 0.9, "no_draft": 0.4}) == ["shadow"]
        assert keeper.trials["old"].is_better


def test_a_restart_goes_on_in_the_stage_that_was_reached_and_with_its_trial(tmp_path):
    with kept(tmp_path) as (service, keeper):
        play(service, keeper, 600, {"old": 0.5, "new": 0.9, "no_draft": 0.4})
        n, interval = keeper.trials["old"].n, keeper.trials["old"].interval
    with kept(tmp_path) as (service, keeper):
        assert (service.stage, keeper.trials["old"].n, keeper.trials["old"].interval) == ("live", n, interval)
    with kept(tmp_path, stage="canary") as (service, keeper):
        assert (service.stage, keeper.trials["old"].n) == ("canary", 0)
    assert [note["stage"] for note in notes(tmp_path)] == ["shadow", "canary", "live", "canary"]


@pytest.mark.parametrize("changes", [{"names": ("old", "new", "other")}, {"exploration": 0.3}])
def test_a_restart_with_other_arms_or_shares_begins_a_new_trial_in_the_same_stage(tmp_path, changes):
    with kept(tmp_path, promote=False, stage="canary") as (service, keeper):
        play(service, keeper, 50, {"old": 0.5, "new": 0.5, "no_draft": 0.4})
        assert keeper.trials["old"].n == 50
    for _ in range(2):
        with kept(tmp_path, promote=False, stage="canary", **changes) as (service, keeper):
            assert (keeper.trials["old"].n, service.stage) == (0, "canary")
    assert [note["stage"] for note in notes(tmp_path)] == ["canary", "canary"]
    assert "a new trial begins" in notes(tmp_path)[-1]["reason"]


def test_the_policy_is_compared_with_no_draft_too_where_that_is_another_arm(tmp_path):
    with kept(tmp_path, (*NAMES, "no_draft"), exploration=0.4, promote=False) as (service, keeper):
        play(service, keeper, 600, {"old": 0.5, "new": 0.9, "no_draft": 0.4})
        low, high = keeper.trials["no_draft"].interval
        assert 0 < low < 0.5 < high
        assert set(service.seen.curves) == {"old", "no_draft"}
        assert 'draftpick:gain_over_no_draft{end="low"}' in service.metrics.page()
        assert keeper.trials["no_draft"].n == keeper.trials["old"].n == 600
    with kept(tmp_path / "other") as (service, keeper):
        assert set(keeper.trials) == {"old"}


@pytest.mark.parametrize(
    ("stage", "means", "stages", "decided_by"),
    [
        ("canary", (0.1, 0.5, 0.9), ["canary", "shadow"], ["no_draft"]),  # better than old, worse than no_draft
        ("shadow", (0.1, 0.5, 0.9), ["shadow"], []),
        ("shadow", (0.1, 0.9, 0.1), ["shadow", "canary"], ["old", "no_draft"]),
    ],
)
def test_no_draft_decides_of_the_stage_too_and_the_log_says_so(tmp_path, stage, means, stages, decided_by):
    names = (*NAMES, "no_draft")
    with kept(tmp_path, names, stage=stage, exploration=0.4) as (service, keeper):
        assert play(service, keeper, 400, dict(zip(names, means, strict=True)))[:2] == stages
    change = [note for note in notes(tmp_path) if note["decided_by"]][:1]
    assert [note["decided_by"] for note in change] == ([decided_by] if decided_by else [])
    for note in change:
        assert all(f"more a decision than {arm}, told from" in note["reason"] for arm in decided_by)


def test_decisions_are_told_of_the_trial_against_the_incumbent(tmp_path):
    with kept(tmp_path, (*NAMES, "no_draft"), exploration=0.4, promote=False) as (service, keeper):
        for number in range(3):  # without no_draft they say nothing of it
            service.agent.choose(Query(id=f"q{number}", prompt="words"), NAMES)
            service.agent.reward(f"q{number}", 0.5)
        keeper.step()
        assert (keeper.trials["old"].n, keeper.trials["no_draft"].n) == (3, 0)
        assert "draftpick:trial_decisions 3" in service.metrics.page()
