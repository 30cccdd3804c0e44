import numpy as np
import pytest

from bandits import KNN, UCB1, BestFixedArm, EpsilonGreedy, HybridLinUCB, LinTS, LinUCB, Softmax, SquareCB, Uniform
from bandits.policies import Discounted, ResetOnDrift, SlidingWindow, merge
from bandits.testing import example_log

LOG = example_log()
PARTS = [LOG.subset(rows) for rows in np.array_split(np.arange(len(LOG)), 3)]

MERGEABLE = [
    BestFixedArm,
    UCB1,
    LinUCB,
    LinTS,
    SquareCB,
    HybridLinUCB,
    lambda: LinUCB(prior_precision=None),
    lambda: EpsilonGreedy(LinUCB(), epsilon=0.2),
    lambda: Softmax(LinUCB(ucb_width=0.5)),
]


def check_same(policy, whole):
    np.testing.assert_allclose(
        policy.probabilities(LOG.contexts), whole.probabilities(LOG.contexts), rtol=1e-9, atol=1e-9
    )
    assert policy.state.n_rows == whole.state.n_rows
    for name, array in whole.state.per_arm.items():
        np.testing.assert_allclose(policy.state.per_arm[name], array, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("make", MERGEABLE)
def test_replicas_merge_into_the_policy_that_saw_all_rows(make):
    replicas = [make().fit(part) for part in PARTS]
    before = [replica.probabilities(LOG.contexts) for replica in replicas]
    check_same(merge(replicas), make().fit(LOG))
    for replica, probabilities in zip(replicas, before, strict=True):
        np.testing.assert_array_equal(replica.probabilities(LOG.contexts), probabilities)


@pytest.mark.parametrize("make", MERGEABLE)
def test_what_the_replicas_began_with_counts_once(make):
    start = make().fit(PARTS[0])
    replicas = [make().fit(PARTS[0]) for _ in range(2)]
    for replica, part in zip(replicas, PARTS[1:], strict=True):
        replica.update(part)
    check_same(merge(replicas, since=start), make().fit(LOG))


def test_a_replica_that_saw_nothing_since_changes_nothing():
    start = LinUCB().fit(PARTS[0])
    busy = LinUCB().fit(PARTS[0])
    busy.update(PARTS[1])
    check_same(merge([start, busy, start], since=start), busy)
    check_same(merge([busy]), busy)


def test_arms_are_matched_by_name():
    turned = LinUCB(arm_names=LOG.arm_names[::-1]).fit(PARTS[1])
    merged = merge([LinUCB(arm_names=LOG.arm_names).fit(PARTS[0]), turned])
    whole = LinUCB().fit(PARTS[0])
    whole.update(PARTS[1])
    check_same(merged, whole)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (KNN(), "KNN cannot be merged: what it learns is no sum over rows"),
        (Uniform(), "Uniform cannot be merged: what it learns is no sum over rows"),
        (EpsilonGreedy(KNN()), "KNN cannot be merged: what it learns is no sum over rows"),
        (Discounted(LinUCB()), r"Discounted\(.*\) cannot be merged: .* depends on the order of the rows"),
        (SlidingWindow(LinUCB()), r"SlidingWindow\(.*\) cannot be merged: .* depends on the order of the rows"),
        (ResetOnDrift(LinUCB()), r"ResetOnDrift\(.*\) cannot be merged: .* depends on the order of the rows"),
        (EpsilonGreedy(Discounted(UCB1())), r"EpsilonGreedy\(.* cannot be merged: .* order of the rows"),
    ],
)
def test_what_is_no_sum_over_rows_is_refused_with_the_reason(policy, reason):
    policy.fit(LOG)
    with pytest.raises(ValueError, match=reason):
        merge([policy, policy])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (LinUCB(), LinTS()),
        (LinUCB(), LinUCB(prior_precision=2.0)),
        (EpsilonGreedy(LinUCB(), epsilon=0.1), EpsilonGreedy(LinUCB(), epsilon=0.2)),
        (EpsilonGreedy(LinUCB()), LinUCB()),
    ],
)
def test_policies_that_differ_are_refused(first, second):
    first, second = first.fit(PARTS[0]), second.fit(PARTS[1])
    with pytest.raises(ValueError, match=r"merge needs .* the same parameters"):
        merge([first, second])
    with pytest.raises(ValueError, match=r"merge needs .* the same parameters"):
        merge([first], since=second)


def test_nothing_to_merge_and_nothing_learned_are_refused():
    with pytest.raises(ValueError, match="merge needs at least one policy, got none"):
        merge([])
    with pytest.raises(RuntimeError, match="LinUCB has learned nothing yet"):
        merge([LinUCB().fit(LOG), LinUCB()])
