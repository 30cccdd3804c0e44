"""Several learners, each of a log of its own, know together what one learner of all the logs knows."""

from contextlib import ExitStack, closing

import numpy as np
import pytest

from arms import Query
from bandits import KNN, Agent, DecisionLog, EpsilonGreedy, HashingEncoder, Learner, LinTS, LinUCB
from bandits.online import PooledLearner
from bandits.policies import Discounted

ENCODER = HashingEncoder(6)
ARMS = ("small", "large")
CONTEXTS = np.eye(6, dtype=np.float32)


def begun(policy=None):
    """A policy that knows its arms; with rows where it comes with some."""
    policy = policy or EpsilonGreedy(LinUCB(), epsilon=0.3)
    if policy.state is None:
        policy.start(ARMS, ENCODER.n_features, ENCODER.name)
    return policy


def write(folder, n, seed=0):
    """Log so many rewarded decisions in a folder that may hold some."""
    with DecisionLog(folder, sync_every=0) as log:
        agent, rng = Agent(begun(), ENCODER, log, seed=seed), np.random.default_rng(seed)
        for number in range(log.n_decisions, log.n_decisions + n):
            agent.choose(Query(id=f"q{number}", prompt=f"word{rng.integers(9)} word{rng.integers(9)}"))
            agent.reward(f"q{number}", float(rng.random()))


def learn(learner):
    while learner.step(whole_batches=False):
        pass


def pooled(tmp_path, name, policy=None, **settings):
    """The learner of log `name`, beside all others below the folder."""
    own = tmp_path / name / "learner"
    others = lambda: [folder for folder in sorted(tmp_path.glob("*/learner")) if folder != own]  # noqa: E731
    return PooledLearner(policy or begun(), tmp_path / name / "log", own, others, batch=4, **settings)


def check_same(policy, whole):
    assert policy.arm_names == whole.arm_names
    assert policy.state.n_rows == whole.state.n_rows
    np.testing.assert_allclose(policy.probabilities(CONTEXTS), whole.probabilities(CONTEXTS), rtol=1e-9, atol=1e-9)
    for name, array in whole.state.per_arm.items():
        np.testing.assert_allclose(policy.state.per_arm[name], array, rtol=1e-9, atol=1e-9)


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("with_rows", [False, True])
@pytest.mark.parametrize("make", [lambda: EpsilonGreedy(LinUCB(), epsilon=0.3), lambda: LinTS(prior_precision=None)])
def test_each_of_two_serves_the_policy_that_saw_the_rows_of_both(tmp_path, stack, make, with_rows):
    def start():
        policy = make()
        if with_rows:
            write(tmp_path / "before", 5, seed=3)
            policy.fit(DecisionLog.load(tmp_path / "before"))
        return begun(policy)

    policy = start()
    learners = [stack.enter_context(closing(pooled(tmp_path, name, policy))) for name in "ab"]
    whole = start() if not with_rows else make().fit(DecisionLog.load(tmp_path / "before"))
    for round_ in range(2):
        for seed, name in enumerate("ab"):
            write(tmp_path / name / "log", 7 + seed, seed=seed)
        for learner in (*learners, learners[0]):  # the first one once more, for what the second has saved meanwhile
            learn(learner)
        assert [learner.n_learned for learner in learners] == [15 * (round_ + 1)] * 2
    for name in "ab":
        whole.update(DecisionLog.load(tmp_path / name / "log"))
    for learner in learners:
        check_same(learner.policy, whole)


def test_one_that_is_gone_counts_with_what_it_saved_and_one_that_comes_back_counts_once(tmp_path, stack):
    write(tmp_path / "a" / "log", 9)
    with closing(pooled(tmp_path, "a")) as gone:
        learn(gone)
    other = stack.enter_context(closing(pooled(tmp_path, "b")))
    check_same(other.policy, begun().fit(DecisionLog.load(tmp_path / "a" / "log")))
    with closing(pooled(tmp_path, "a")) as back:
        learn(back)
        assert other.step() == 0
        check_same(back.policy, other.policy)


def test_arms_join_and_leave_whatever_the_others_still_know(tmp_path, stack):
    for seed, name in enumerate("ab"):
        write(tmp_path / name / "log", 12, seed=seed)
    learners = [stack.enter_context(closing(pooled(tmp_path, name))) for name in "ab"]
    for learner in learners:
        learn(learner)
    first, whole = learners[0], begun()
    whole.update(DecisionLog.load(tmp_path / "a" / "log"))
    whole.update(DecisionLog.load(tmp_path / "b" / "log"))
    learn(first)
    first.keep_arms(("small", "huge"))
    whole.add_arm("huge")
    whole.remove_arm("large")
    check_same(first.policy, whole)
    with pytest.raises(ValueError, match=r"new_arm_rows must be 0 where several learn together, got 2"):
        first.keep_arms(ARMS, new_arm_rows=2)


def test_a_policy_is_never_read_while_it_is_replaced(tmp_path, stack):
    """The file that a checkpoint names may be gone a moment later, with a newer checkpoint in its place."""
    write(tmp_path / "a" / "log", 4)
    writer = stack.enter_context(closing(Learner(begun(), tmp_path / "a" / "log", tmp_path / "a" / "learner", batch=1)))
    writer.step()
    own, folder = pooled(tmp_path, "b"), tmp_path / "a" / "learner"
    stack.enter_context(closing(own))
    assert own.n_learned == 1
    old = (folder / "checkpoint.json").read_bytes()
    writer.step()
    new = (folder / "checkpoint.json").read_bytes()
    (folder / "checkpoint.json").write_bytes(old.replace(b'"n_learned": 1', b'"n_learned": 7'))
    assert own.step() == 0, "a checkpoint whose policy is missing is passed over"
    assert own.n_learned == 1
    (folder / "checkpoint.json").write_bytes(new)
    assert own.step() == 1


@pytest.mark.parametrize(
    "other", [LinTS(), EpsilonGreedy(LinUCB(prior_precision=2.0), epsilon=0.3), Discounted(LinUCB())]
)
def test_a_policy_of_another_kind_is_left_out_and_told_once(tmp_path, stack, caplog, other):
    write(tmp_path / "a" / "log", 4)
    with closing(Learner(begun(other), tmp_path / "a" / "log", tmp_path / "a" / "learner")) as learner:
        learn(learner)
    own = stack.enter_context(closing(pooled(tmp_path, "b")))
    own.step()
    assert own.n_learned == 0
    [told] = [record.getMessage() for record in caplog.records]
    assert str(tmp_path / "a" / "learner") in told


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (KNN(), "KNN cannot be merged"),
        (Discounted(LinUCB()), r"Discounted\(.* cannot be merged: .* depends on the order of the rows"),
    ],
)
def test_a_policy_that_cannot_be_merged_is_refused_at_the_start(tmp_path, policy, reason):
    with pytest.raises(ValueError, match=reason):
        pooled(tmp_path, "a", begun(policy))
    with pytest.raises(RuntimeError, match="LinUCB has learned nothing yet"):
        pooled(tmp_path, "a", LinUCB())
