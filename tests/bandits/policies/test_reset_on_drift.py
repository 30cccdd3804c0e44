"""An arm is forgotten when its rewards move, and only then; the others stay."""

import numpy as np
import pytest

from bandits import BestFixedArm, EpsilonGreedy, LinUCB, LoggedData, Reinforce
from bandits.policies import Discounted, ResetOnDrift, resets_since

NAMES = ("a", "b")


def stream(n, moved=0.0, seed=0):
    """Rows of two arms by turns; the rewards of `a` move at half-time, by so many standard deviations."""
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(n, 3)).astype(np.float32)
    actions = np.arange(n) % 2
    rewards = contexts @ [0.3, -0.2, 0.1] + 0.1 * rng.normal(size=n)
    rewards[(np.arange(n) >= n // 2) & (actions == 0)] += 0.1 * moved
    return LoggedData(contexts, actions, rewards, np.full(n, 0.5), NAMES)


@pytest.mark.parametrize("moved", [-3.0, 3.0])
def test_an_arm_that_moved_is_forgotten_and_the_other_is_not(moved):
    data = stream(400, moved)
    policy = ResetOnDrift(EpsilonGreedy(LinUCB())).fit(data.subset(np.arange(200)))
    before = policy.clone().fit(data.subset(np.arange(200)))
    assert not list(resets_since(ResetOnDrift(), before))
    policy.update(data.subset(np.arange(200, 400)))
    [reset] = resets_since(before, policy)
    assert (reset.arm, reset.number, np.sign(reset.statistic)) == ("a", 1, np.sign(moved))
    assert "a " + ("fell below" if moved < 0 else "rose above") in reset.reason
    row_weight = policy.learned.per_arm["row_weight"]
    assert 80 <= row_weight[0] < 100
    assert row_weight[1] == 200


def test_steady_rewards_and_single_failures_reset_nothing():
    data = stream(2000)
    rewards = data.rewards.copy()
    rewards[[300, 304, 900]] = -50.0
    policy = ResetOnDrift(LinUCB()).fit(LoggedData(data.contexts, data.actions, rewards, data.propensities, NAMES))
    assert not list(resets_since(ResetOnDrift(), policy))


def test_batches_do_not_matter():
    data = stream(400, 2.0)
    whole = ResetOnDrift(Discounted(LinUCB(), discount=0.99)).fit(data)
    parts = whole.clone()
    parts.start(NAMES, 3)
    for part in np.split(np.arange(400), [1, 2, 50, 230]):
        parts.update(data.subset(part))
    for name, array in whole.learned.per_arm.items():
        np.testing.assert_allclose(parts.learned.per_arm[name], array, rtol=1e-7, atol=1e-9)


def test_knowledge_from_before_is_kept_until_a_reset():
    data = stream(200)
    policy = ResetOnDrift(BestFixedArm().fit(data))
    policy.update(data)
    assert policy.learned.per_arm["weights"].tolist() == [400, 400]


def test_bad_settings_are_refused():
    with pytest.raises(TypeError, match="must predict rewards"):
        ResetOnDrift(Reinforce())
    with pytest.raises(TypeError, match="already"):
        ResetOnDrift(ResetOnDrift())
    with pytest.raises(ValueError, match="threshold"):
        ResetOnDrift(threshold=0.0)
    with pytest.raises(ValueError, match="burn_in"):
        ResetOnDrift(burn_in=1)
