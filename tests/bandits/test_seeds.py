"""A seed, divided by role."""

import itertools

import numpy as np
import pytest

from bandits import EpsilonGreedy, LinUCB, Reinforce, SeedTree
from bandits.policies.seeded import seeded


def draws(rng):
    return rng.random(64)


def test_a_role_has_one_stream():
    np.testing.assert_array_equal(draws(SeedTree(3).rng("split")), draws(SeedTree(3).rng("split")))
    np.testing.assert_array_equal(draws(SeedTree(3).child("a").rng("b")), draws(SeedTree(3).rng("a", "b")))


def test_no_two_roles_or_seeds_share_a_stream():
    roles = [("split",), ("logging",), ("policy", "LinTS"), ("policy", "LinUCB"), ("policyLinTS",), ("policy",)]
    streams = [draws(SeedTree(seed).rng(*role)) for seed in (0, 1, 2**40) for role in roles]
    streams += [draws(np.random.default_rng(seed)) for seed in (0, 1)]
    streams += [draws(np.random.default_rng(s)) for s in np.random.SeedSequence(0).spawn(3)]
    for left, right in itertools.combinations(streams, 2):
        assert not np.isin(left, right).any()


def test_streams_of_two_roles_are_uncorrelated():
    tree = SeedTree(0)
    left, right = (tree.rng(role).normal(size=20_000) for role in ("environment", "policy"))
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.03


def test_a_stream_does_not_depend_on_what_was_asked_before():
    first, second = SeedTree(5), SeedTree(5)
    first.rng("a"), first.rng("b")
    np.testing.assert_array_equal(draws(first.rng("c")), draws(second.rng("c")))


@pytest.mark.parametrize("seed", [-1, 1.0, True, None])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="seed must be"):
        SeedTree(seed)


@pytest.mark.parametrize("roles", [(), ("",), (3,)])
def test_bad_roles_are_refused(roles):
    with pytest.raises(ValueError, match="roles must be"):
        SeedTree(0).rng(*roles)


def test_seeded_reaches_inner_policies_and_changes_nothing_else():
    policy = EpsilonGreedy(Reinforce(seed=9), epsilon=0.3)
    left, right = seeded(policy, SeedTree(0).child("x")), seeded(policy, SeedTree(0).child("y"))
    assert left.epsilon == 0.3
    assert len({policy.policy.seed, left.policy.seed, right.policy.seed}) == 3
    assert seeded(policy, SeedTree(0).child("x")).policy.seed == left.policy.seed
    assert seeded(LinUCB(0.5), SeedTree(0).child("x")).ucb_width == 0.5
