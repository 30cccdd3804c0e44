"""Checks that every policy must pass; run them on a policy of your own.

    from bandits.testing import check_policy

    def test_my_policy():
        check_policy(MyPolicy(width=2.0))

Plain functions that raise AssertionError naming the property that is broken; no test framework is needed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from arms.testing.assertions import global_generators_untouched, hold, near, refused
from bandits.data.array_data import data_of_arrays
from bandits.data.full_information_data import FullInformationData
from bandits.data.logged_data import LoggedData
from bandits.data.policy_data import PolicyData
from bandits.policies.policy import Policy
from bandits.policies.reward_kind import RewardKind
from bandits.policies.uniform import Uniform

MakePolicy = Callable[[], Policy]

_UPDATE_TOLERANCE = 1e-6  # batches and one fit: sums in another order, then an inverse
_FINAL = ("fit", "update", "probabilities", "choose")


def check_policy(policy: Policy | MakePolicy, *data: PolicyData) -> None:
    """Run every check on a policy.

    Args:
        policy: an unfitted policy without arm names, of which copies are checked; or its class, or a function that
            returns a new one each time, with the same parameters.
        data: sets of at least 20 rows and two arms to learn from; without any, small synthetic ones of both
            kinds, with rewards of its `reward_kind`. A policy that learns from one kind only is given that kind.

    Raises:
        AssertionError: naming the property that does not hold.
    """
    make_policy: MakePolicy = policy.clone if isinstance(policy, Policy) else policy
    check_template(make_policy)
    kind = make_policy().reward_kind
    for one in data or (example_data(reward_kind=kind), example_log(reward_kind=kind)):
        check_probabilities(make_policy, one)
        check_availability(make_policy, one)
        check_determinism(make_policy, one)
        check_inputs_unmodified(make_policy, one)
        check_reading_changes_nothing(make_policy, one)
        check_fit_forgets(make_policy, one)
        check_batches_equal_one_fit(make_policy, one)
        check_arm_permutation(make_policy, one)
        check_save_and_load(make_policy, one)
        check_parameters(make_policy, one)
        check_arms_change(make_policy, one)
        check_bad_input_refused(make_policy, one)
        check_cold_start(make_policy, one)
        check_choose(make_policy, one)


def example_data(
    n_rows: int = 60, n_features: int = 5, n_arms: int = 3, seed: int = 7, *, reward_kind: RewardKind = "any"
) -> FullInformationData:
    """Return synthetic full-information data with linear rewards and noise, or 0 and 1 by their signs; with costs."""
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    coefficients = rng.normal(size=(n_features, n_arms))
    rewards = contexts @ coefficients + 0.3 * rng.normal(size=(n_rows, n_arms))
    if reward_kind != "any":
        rewards = (rewards > 0).astype(np.float64)
    names = [f"arm_{chr(ord('a') + (5 * arm + 2) % n_arms)}" for arm in range(n_arms)]  # not in alphabetical order
    costs = np.tile(1.0 + np.arange(n_arms), (n_rows, 1))
    ids = tuple(f"q{i}" for i in range(n_rows))
    return FullInformationData(contexts, rewards, tuple(names), costs=costs, query_ids=ids)


def example_log(seed: int = 11, *, reward_kind: RewardKind = "any") -> LoggedData:
    """Return bandit feedback on `example_data`, drawn uniformly."""
    return example_data(reward_kind=reward_kind).log_with(Uniform(), np.random.default_rng(seed))


def check_template(make_policy: MakePolicy) -> None:
    """Check that a subclass leaves alone what the base class derives: it checks its input there."""
    policy = make_policy()
    for name in _FINAL:
        hold(
            getattr(type(policy), name) is getattr(Policy, name),
            f"{name} is the base class's: write _initial_state, _update and _probabilities, do not replace {name}",
        )


def check_probabilities(make_policy: MakePolicy, data: PolicyData) -> None:
    """Probabilities are distributions, and a row's do not depend on the rows beside it."""
    policy = make_policy().fit(data)
    probabilities = policy.probabilities(data.contexts)
    hold(
        probabilities.shape == (len(data), data.n_arms),
        f"probabilities must have shape (n, k), got {probabilities.shape}",
    )
    hold(probabilities.dtype == np.float64, f"probabilities must be float64, got {probabilities.dtype}")
    hold(bool(np.isfinite(probabilities).all() and (probabilities >= 0).all()), "probabilities must be finite and >= 0")
    hold(near(probabilities.sum(axis=1), 1.0), "rows of probabilities must sum to 1")
    one_by_one = np.concatenate([policy.probabilities(row[None]) for row in data.contexts])
    hold(near(probabilities, one_by_one, _UPDATE_TOLERANCE), "a row's probabilities must not depend on other rows")


def check_availability(make_policy: MakePolicy, data: PolicyData) -> None:
    """Arms that are not available have probability 0 and are never chosen."""
    policy = make_policy().fit(data)
    rng = np.random.default_rng(3)
    available = rng.random((len(data), data.n_arms)) < 0.5
    available[np.arange(len(data)), rng.integers(data.n_arms, size=len(data))] = True
    probabilities = policy.probabilities(data.contexts, available)
    hold(bool((probabilities[~available] == 0).all()), "an arm that is not available must have probability 0")
    hold(near(probabilities.sum(axis=1), 1.0), "probabilities must sum to 1 over the available arms")
    every = np.ones_like(available)
    same = near(policy.probabilities(data.contexts, every), policy.probabilities(data.contexts))
    hold(same, "available=None must mean that every arm is available")
    every[:, 1:] = False
    named = policy.probabilities(data.contexts, policy.arm_names[:1])
    hold(near(named, policy.probabilities(data.contexts, every)), "arms named in available must be those of its mask")
    for row in range(min(20, len(data))):
        decision = policy.choose(data.contexts[row], rng, available[row])
        hold(bool(available[row, decision.action]), "choose must not take an arm that is not available")


def check_determinism(make_policy: MakePolicy, data: PolicyData) -> None:
    """Check that equal data and seeds give equal policies, and that no global generator is touched."""
    with global_generators_untouched():
        first, second = make_policy().fit(data), make_policy().fit(data)
        probabilities = first.probabilities(data.contexts)
        same = np.array_equal(probabilities, second.probabilities(data.contexts))
        hold(same, "two fits to the same data must give the same probabilities")
        again = np.array_equal(probabilities, first.probabilities(data.contexts))
        hold(again, "asking for probabilities must not change them")
        rngs = np.random.default_rng(5), np.random.default_rng(5)
        for row in data.contexts[:20]:
            hold(first.choose(row, rngs[0]) == second.choose(row, rngs[1]), "one seed must give one decision")


def check_inputs_unmodified(make_policy: MakePolicy, data: PolicyData) -> None:
    """Neither learning nor choosing changes the arrays that it is given."""
    contexts, available = data.contexts.copy(), np.ones((len(data), data.n_arms), np.bool_)
    available[::2, 0] = False
    kept = contexts.copy(), available.copy()
    policy = make_policy().fit(data)
    policy.update(data)
    policy.probabilities(contexts, available)
    policy.choose(contexts[0], np.random.default_rng(0), available[0])
    unchanged = np.array_equal(contexts, kept[0]) and np.array_equal(available, kept[1])
    hold(unchanged, "contexts and available must not be changed")


def check_reading_changes_nothing(make_policy: MakePolicy, data: PolicyData) -> None:
    """Check that reading leaves the state as it is, and that an update makes another one and leaves the old one."""
    policy = make_policy().fit(data)
    before = policy.learned
    tensors = {name: array.copy() for name, array in before.tensors().items()}
    probabilities = policy.probabilities(data.contexts)
    policy.choose(data.contexts[0], np.random.default_rng(0))
    hold(policy.state is before, "reading must not replace the state")
    policy.update(data)
    policy.update(data.subset([0]))
    hold(policy.learned.n_rows == 2 * len(data) + 1, "the state must count the rows learned from")
    for name, array in before.tensors().items():
        hold(np.array_equal(array, tensors[name]), f"_update must not change the state's arrays ({name})")
    policy.state = before
    same = np.array_equal(policy.probabilities(data.contexts), probabilities)
    hold(same, "a state must give what it gave, whatever was learned after it: keep what is learned in the state")


def check_fit_forgets(make_policy: MakePolicy, data: PolicyData) -> None:
    """`fit` starts anew, whatever was learned before."""
    half = data.subset(np.arange(len(data) // 2))
    policy = make_policy().fit(data)
    policy.update(half)
    policy.fit(half)
    fresh = make_policy().fit(half)
    same = np.array_equal(policy.probabilities(data.contexts), fresh.probabilities(data.contexts))
    hold(same, "fit must forget what was learned before")


def check_batches_equal_one_fit(make_policy: MakePolicy, data: PolicyData) -> None:
    """If `exact_updates` says so: updates in any batches, in any order, give what one fit gives."""
    if not make_policy().exact_updates:
        return
    whole = make_policy().fit(data)
    rows = np.random.default_rng(1).permutation(len(data))
    batched = make_policy()
    batched.start(data.arm_names, data.n_features)
    for part in np.split(rows, [1, 2, 5, len(data) // 2]):
        batched.update(data.subset(part))
        batched.probabilities(data.contexts[:2])  # looking in between must not matter
    same = near(whole.probabilities(data.contexts), batched.probabilities(data.contexts), _UPDATE_TOLERANCE)
    hold(same, "updates in batches must give what one fit gives (or set exact_updates = False)")


def check_arm_permutation(make_policy: MakePolicy, data: PolicyData) -> None:
    """Check that listing the arms in another order gives the same probabilities in that order."""
    shuffled = (*data.arm_names[1:], data.arm_names[0])
    policy, other = make_policy().fit(data), make_policy().fit(data.with_arms(shuffled))
    columns = [other.arm_names.index(name) for name in policy.arm_names]
    probabilities, permuted = policy.probabilities(data.contexts), other.probabilities(data.contexts)[:, columns]
    hold(near(probabilities, permuted, _UPDATE_TOLERANCE), "probabilities must follow a permutation of the arms")
    policy.update(data.with_arms(shuffled))
    twice = make_policy().fit(data)
    twice.update(data)
    same = near(policy.probabilities(data.contexts), twice.probabilities(data.contexts), _UPDATE_TOLERANCE)
    hold(same, "update must match the data's arms by name, not by position")


def check_save_and_load(make_policy: MakePolicy, data: PolicyData) -> None:
    """Check that a saved policy comes back the same, and learns on as the original does."""
    policy = make_policy().fit(data)
    with tempfile.TemporaryDirectory() as folder:
        policy.save(Path(folder) / "saved")
        loaded = type(policy).load(Path(folder) / "saved")
    hold(loaded.arm_names == policy.arm_names, "save and load must keep arm_names")
    same = np.array_equal(policy.probabilities(data.contexts), loaded.probabilities(data.contexts))
    hold(same, "a loaded policy must give the saved one's probabilities: keep what is learned in the state")
    policy.update(data)
    loaded.update(data)
    same = near(policy.probabilities(data.contexts), loaded.probabilities(data.contexts), _UPDATE_TOLERANCE)
    hold(same, "a loaded policy must learn on as the saved one does")


def check_parameters(make_policy: MakePolicy, data: PolicyData) -> None:
    """`get_params` gives the constructor's arguments, so that a clone learns the same."""
    policy = make_policy().fit(data)
    clone = policy.clone()
    hold(clone.state is None, "a clone must be unfitted")
    same = np.array_equal(policy.probabilities(data.contexts), clone.fit(data).probabilities(data.contexts))
    hold(same, "a clone must learn what the original learned: store each argument under its own name")
    set_again = policy.clone().set_params(**policy.get_params()).fit(data)
    same = np.array_equal(policy.probabilities(data.contexts), set_again.probabilities(data.contexts))
    hold(same, "set_params with get_params' values must change nothing")


def check_arms_change(make_policy: MakePolicy, data: PolicyData) -> None:
    """Adding and then removing an arm changes nothing; both refuse what they cannot do."""
    policy = make_policy().fit(data)
    before = policy.probabilities(data.contexts)
    policy.add_arm("a new arm")
    grown = policy.probabilities(data.contexts)
    hold(grown.shape[1] == data.n_arms + 1, "an added arm must get a column")
    hold(near(grown.sum(axis=1), 1.0), "probabilities must sum to 1 with an added arm")
    policy.update(data)
    policy = make_policy().fit(data)
    policy.add_arm("a new arm", like=data.arm_names[0])
    policy.probabilities(data.contexts)
    policy.remove_arm("a new arm")
    same = np.array_equal(before, policy.probabilities(data.contexts))
    hold(same, "adding an arm and removing it again must change nothing")
    policy.remove_arm(data.arm_names[0])
    shrunk = policy.probabilities(data.contexts)
    hold(
        shrunk.shape[1] == data.n_arms - 1 and near(shrunk.sum(axis=1), 1.0),
        "a removed arm must lose its column",
    )
    refused(lambda: policy.update(data), "data with an arm that the policy does not know")
    refused(lambda: policy.remove_arm("nobody"), "removing an unknown arm")
    refused(lambda: policy.add_arm(policy.arm_names[0]), "adding an arm twice")


def check_bad_input_refused(make_policy: MakePolicy, data: PolicyData) -> None:
    """Contexts of another size or with NaN, and rows without an available arm, raise ValueError."""
    policy = make_policy().fit(data)
    wide = np.zeros((2, data.n_features + 1), np.float32)
    broken = data.contexts[:2].copy()
    broken[1, 0] = np.nan
    nothing = np.zeros((2, data.n_arms), np.bool_)
    refused(lambda: policy.probabilities(wide), "contexts of another size")
    refused(lambda: policy.probabilities(broken), "contexts with NaN")
    refused(lambda: policy.probabilities(data.contexts[:2], nothing), "a row without an available arm")
    refused(lambda: policy.choose(data.contexts[:2], np.random.default_rng(0)), "more than one context in choose")
    refused(lambda: policy.update(_widened(data)), "data of another context size")
    if policy.reward_kind != "any":
        beyond = data_of_arrays(data.contexts[:1], [0], [2.0], [0.5], data.arm_names)
        refused(lambda: policy.update(beyond), "a reward of another kind than reward_kind says")


def check_cold_start(make_policy: MakePolicy, data: PolicyData) -> None:
    """With arms but no data a policy acts, and gives every arm the same probability."""
    policy = make_policy()
    policy.start(data.arm_names, data.n_features)
    probabilities = policy.probabilities(data.contexts)
    hold(
        near(probabilities, 1.0 / data.n_arms, _UPDATE_TOLERANCE),
        "without data every arm must have the same probability",
    )


def check_choose(make_policy: MakePolicy, data: PolicyData) -> None:
    """`choose` is the base class's: it draws from `probabilities` and reports what it drew with."""
    policy = make_policy().fit(data)
    rng = np.random.default_rng(2)
    for row in data.contexts[:20]:
        decision = policy.choose(row, rng)
        probabilities = policy.probabilities(row[None])[0]
        hold(decision.propensity > 0, "a chosen arm must have a propensity above 0")
        hold(
            near(probabilities[decision.action], decision.propensity),
            "the propensity must be the probability drawn with",
        )
        hold(policy.arm_names[decision.action] == decision.arm, "arm and action must agree")


def _widened(data: PolicyData) -> PolicyData:
    wide = np.concatenate([data.contexts, data.contexts[:, :1]], axis=1)
    feedback = data.feedback()
    rows = feedback.rows
    names = data.arm_names
    return data_of_arrays(wide[rows], feedback.actions, feedback.rewards, feedback.propensities, names)
