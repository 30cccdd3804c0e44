"""A rollout mixes incumbent, policy and exploration exactly, and logs what the policy alone would have done."""

import numpy as np
import pytest

from arms import Query
from bandits import Agent, DecisionLog, HashingEncoder, LinUCB, Uniform
from bandits.online import LoggedDecision, Rollout
from bandits.online.segments import read_records

NAMES = ("a", "b", "c")
CONTEXTS = np.eye(4, dtype=np.float32)


def chooses_c():
    policy = LinUCB(arm_names=NAMES, ucb_width=0.0)
    policy.fit(np.repeat(CONTEXTS, 3, axis=0), [0, 1, 2] * 4, [0.0, 0.0, 1.0] * 4, arm_names=NAMES)
    return policy


@pytest.mark.parametrize(
    ("share", "exploration"), [(0.0, 0.0), (0.0, 0.3), (0.5, 0.3), (0.7, 0.3), (0.1, 0.9), (1.0, 0.0)]
)
def test_the_distribution_is_the_mixture(share, exploration):
    rollout = Rollout(chooses_c(), "b", share=share, exploration=exploration)
    each = exploration / 3
    expected = [each, each + 1 - share - exploration, each + share]
    np.testing.assert_allclose(rollout.probabilities(CONTEXTS), np.tile(expected, (4, 1)), atol=1e-12)


def test_where_the_incumbent_is_not_available_the_policy_decides_its_part():
    rollout = Rollout(chooses_c(), "b", share=0.2, exploration=0.1)
    available = np.array([[True, False, True], [True, True, False]])
    np.testing.assert_allclose(
        rollout.probabilities(CONTEXTS[:2], available), [[0.05, 0, 0.95], [0.05 + 0.1, 0.05 + 0.8, 0]], atol=1e-12
    )


@pytest.mark.parametrize(("floor", "each"), [(0.05, 0.1), (0.1, 0.1), (0.2, 0.2), (1 / 3, 1 / 3)])
def test_no_arm_is_below_the_floor_and_what_is_left_is_shared_as_without_one(floor, each):
    rollout = Rollout(chooses_c(), "b", share=0.5, exploration=0.3, propensity_floor=floor)
    left = (1 - 3 * each) / 0.7
    expected = [each, each + 0.2 * left, each + 0.5 * left]
    np.testing.assert_allclose(rollout.probabilities(CONTEXTS), np.tile(expected, (4, 1)), atol=1e-12)
    masked = rollout.probabilities(CONTEXTS[:1], np.array([[True, True, False]]))[0]
    assert masked.sum() == pytest.approx(1.0)
    assert masked[2] == 0
    assert masked[:2].min() >= max(floor, 0.15) - 1e-12


@pytest.mark.parametrize("floor", [0.0, 0.04, 0.1])
@pytest.mark.parametrize(("share", "exploration"), [(0.0, 0.05), (0.5, 0.2), (0.9, 0.1)])
def test_no_weight_is_beyond_the_most_that_is_told(share, exploration, floor):
    rng = np.random.default_rng(0)
    rollout = Rollout(Uniform(arm_names=NAMES), "b", share=share, exploration=exploration, propensity_floor=floor)
    proposals = np.concatenate([np.eye(3), rng.dirichlet(np.full(3, 0.2), 200)])
    rollout.policy._probabilities = lambda state, contexts, available: proposals * available
    for available in ([True, True, True], [False, True, True]):
        rows = proposals[:, available].sum(axis=1) == 1 if not all(available) else slice(None)
        drawn = rollout.probabilities(
            np.zeros((len(proposals), 4), np.float32), np.tile(available, (len(proposals), 1))
        )
        for arm in (name for name, there in zip(NAMES, available, strict=True) if there):
            told = np.abs(proposals - (np.array(NAMES) == arm))[rows][:, available] / drawn[rows][:, available]
            assert told.max() <= rollout.most_weight(arm) * (1 + 1e-9)


def test_the_log_holds_what_the_policy_on_trial_would_have_drawn_from(tmp_path):
    with DecisionLog(tmp_path) as log:
        agent = Agent(Rollout(chooses_c(), "b", exploration=0.3), HashingEncoder(4), log)
        served = agent.choose(Query(id="q", prompt="words"), available=("a", "b"))
        agent.serve(chooses_c(), "1")
        plain = agent.choose(Query(id="r", prompt="words"))
        logged = [
            LoggedDecision.from_record(placed.record) for placed in read_records(tmp_path) if "arm" in placed.record
        ]
    assert served.proposed == {"a": 0.5, "b": 0.5, "c": 0.0}
    assert plain.proposed is None
    assert [one.decision for one in logged] == [served, plain]
    assert [one.policy.name for one in logged] == ["LinUCB", "LinUCB"]
    assert logged[0].available == ("a", "b")


class Turning(Uniform):
    """Another arm, for certain, each time it is asked."""

    n_asked = 0

    def _probabilities(self, state, contexts, available):
        self.n_asked += 1
        return np.eye(3)[[self.n_asked % 3] * len(contexts)]


def test_what_is_said_to_be_proposed_is_what_the_choice_was_mixed_from():
    policy = Turning(arm_names=NAMES)
    rollout = Rollout(policy, "b", share=1.0, exploration=0.0)
    for n_decisions in range(1, 7):
        decision = rollout.choose(CONTEXTS[0], np.random.default_rng(n_decisions))
        assert decision.proposed == decision.probabilities == {name: float(name == decision.arm) for name in NAMES}
        assert policy.n_asked == n_decisions


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"incumbent": "z"}, "incumbent must be one of the arms a, b, c, got 'z'"),
        ({"incumbent": "a", "exploration": 1.5}, r"exploration must be a finite number in \[0, 1\], got 1.5"),
        ({"incumbent": "a", "exploration": "0.1"}, r"exploration must be a finite number in \[0, 1\], got '0.1'"),
        ({"incumbent": "a", "share": True}, "share must be a finite number"),
        (
            {"incumbent": "a", "propensity_floor": 0.4},
            "propensity_floor must be at most 1 / 3, the number of arms, got 0.4",
        ),
        ({"incumbent": "a", "share": 0.99}, r"share must be a finite number in \[0, 0.95\], got 0.99"),
    ],
)
def test_shares_and_incumbent_are_checked(settings, error):
    with pytest.raises(ValueError, match=error):
        Rollout(Uniform(arm_names=NAMES), **settings)


def test_an_incumbent_is_checked_when_the_arms_are_known():
    rollout = Rollout(Uniform(), "z")
    rollout.start(NAMES, 4)
    with pytest.raises(ValueError, match="incumbent must be one of the arms a, b, c, got 'z'"):
        rollout.probabilities(CONTEXTS)
