"""A learner learns each rewarded decision once, in order, whatever becomes of it between two batches."""

import threading
from contextlib import closing

import numpy as np
import pytest

from bandits import UCB1, Agent, DecisionLog, EpsilonGreedy, HashingEncoder, Learner, LinUCB
from bandits.policies import Discounted, ResetOnDrift, SlidingWindow
from tests.support.fake_endpoints import ARM_NAMES, TOKENS_GIVEN, endpoints, numbered_queries

ENCODER = HashingEncoder(8)


def new_policy(**settings):
    return EpsilonGreedy(LinUCB(arm_names=ARM_NAMES, **settings), epsilon=0.3)


def fill(folder, n, first=0):
    with DecisionLog(folder, sync_every=0, segment_bytes=8_000) as log:
        agent = Agent(new_policy(), ENCODER, log, arms=endpoints(), reward=TOKENS_GIVEN)
        for query in numbered_queries(first + n)[first:]:
            agent.answer(query)


def assert_same(policy, other):
    for name, array in policy.policy.learned.per_arm.items():
        np.testing.assert_allclose(array, other.policy.learned.per_arm[name], rtol=1e-9, atol=1e-9)


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "log", tmp_path / "learner"


def test_batches_learned_equal_one_fit_to_the_log(folders):
    fill(folders[0], 95)
    learner = Learner(new_policy(), *folders, batch=10)
    assert [learner.step() for _ in range(11)] == [10] * 9 + [0, 0]  # half a batch waits
    assert learner.step(whole_batches=False) == 5
    assert (learner.n_learned, learner.version) == (95, "95")
    assert_same(learner.policy, new_policy().fit(DecisionLog.load(folders[0])))
    learner.close()


def test_a_learner_goes_on_where_it_was(folders):
    whole = Learner(new_policy(), folders[0], folders[1].with_name("whole"), batch=7)
    for first in range(0, 60, 20):
        fill(folders[0], 20, first)
        learner = Learner(new_policy(), *folders, batch=7)
        assert learner.n_learned == first // 7 * 7
        while learner.step():
            pass
        learner.close()
    while whole.step():
        pass
    assert whole.n_learned == learner.n_learned == 56
    assert_same(learner.policy, whole.policy)
    whole.close()


def test_rewards_are_learned_in_the_order_they_came_and_decisions_without_one_are_not(folders):
    with DecisionLog(folders[0]) as log:
        agent = Agent(new_policy(), ENCODER, log)
        for query in numbered_queries(4):
            agent.choose(query)
        learner = Learner(new_policy(), *folders, batch=1)
        assert learner.step() == 0
        for query_id, value in (("q2", 1.0), ("q0", -1.0)):
            agent.reward(query_id, value)
            assert learner.step() == 1
        assert learner.step() == 0
    expected = new_policy().fit(DecisionLog.load(folders[0]))
    assert_same(learner.policy, expected)
    learner.close()


def test_a_step_puts_another_policy_in_place_and_changes_none_that_serves(folders):
    fill(folders[0], 20)
    given = new_policy()
    learner = Learner(given, *folders, batch=10)
    learner.step()
    first = learner.policy
    probe = DecisionLog.load(folders[0]).contexts
    before = first.probabilities(probe)
    learner.step()
    assert given.state is None
    assert first is not learner.policy
    np.testing.assert_array_equal(first.probabilities(probe), before)
    learner.close()


def test_a_batch_that_could_not_be_saved_is_learned_again_and_once(folders, monkeypatch):
    fill(folders[0], 20)
    learner = Learner(new_policy(), *folders, batch=10)
    learner.step()

    def full_disk(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bandits.online.learner.write_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        learner.step()
    monkeypatch.undo()
    assert learner.n_learned == 10
    assert learner.step() == 10
    assert_same(learner.policy, new_policy().fit(DecisionLog.load(folders[0])))
    learner.close()


def test_a_learner_beside_serving_threads_misses_nothing(folders):
    with DecisionLog(folders[0], sync_every=0, segment_bytes=8_000) as log:
        learner = Learner(new_policy(), *folders, batch=10)
        agent = Agent(learner.policy, ENCODER, log, arms=endpoints(), reward=TOKENS_GIVEN)
        queries = numbered_queries(300)

        def serve(first):
            for query in queries[first::3]:
                agent.answer(query)

        threads = [threading.Thread(target=serve, args=(first,)) for first in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            if learner.step():
                agent.serve(learner.policy, learner.version)
        while learner.step():
            pass
    assert learner.n_learned == 300
    assert_same(learner.policy, new_policy().fit(DecisionLog.load(folders[0])))
    learner.close()


def all_learned(policy, log_folder, checkpoint, **settings):
    with closing(Learner(policy, log_folder, checkpoint, batch=7, **settings)) as learner:
        while learner.step():
            pass
    return learner


@pytest.mark.parametrize(
    "policy",
    [
        EpsilonGreedy(LinUCB(arm_names=ARM_NAMES, prior_precision=5.0)),
        Discounted(LinUCB(arm_names=ARM_NAMES), discount=0.9),
        ResetOnDrift(SlidingWindow(UCB1(arm_names=ARM_NAMES), n_rows=10), threshold=1.0, burn_in=2),
    ],
    ids=lambda policy: type(policy).__name__,
)
def test_changed_settings_relearn_the_log_as_if_it_had_been_so_from_the_start(folders, policy):
    fill(folders[0], 40)
    all_learned(new_policy(), *folders)
    relearned = all_learned(policy.clone(), *folders, relearn=True)
    from_start = all_learned(policy.clone(), folders[0], folders[1].with_name("other"))
    assert relearned.n_learned == from_start.n_learned == 35
    assert_same_arrays(relearned.policy, from_start.policy)
    went_on = all_learned(policy.clone(), *folders, relearn=True)  # the same settings now: nothing is learned anew
    assert went_on.n_learned == 35


def assert_same_arrays(policy, other):
    for name, array in policy.learned.tensors().items():
        np.testing.assert_array_equal(array, other.learned.tensors()[name])


def test_arms_join_and_leave_and_the_log_stays_readable(folders):
    north, south = ARM_NAMES
    fill(folders[0], 30)
    with closing(Learner(new_policy(), *folders, batch=10)) as learner:
        assert learner.step() == 10
        learner.keep_arms(("new", north), new_arm_rows=3.0)
        weights = dict(zip(learner.policy.arm_names, learner.policy.learned.per_arm["row_weight"], strict=True))
        assert weights["new"] == min(3.0, weights[north]) > 0
        with DecisionLog(folders[0]) as log:
            agent = Agent(learner.policy, ENCODER, log)
            for query in numbered_queries(40)[30:]:
                agent.choose(query)
                agent.reward(query.id, 1.0)
        assert [learner.step() for _ in range(4)] == [10, 10, 10, 0]
        data = DecisionLog.load(folders[0])
        assert learner.n_learned == 10 + np.sum(data.actions[10:] != data.arm_names.index(south))
    available = {name: data.available[:, data.arm_names.index(name)] for name in (north, south, "new")}
    assert available[north].all()
    assert np.flatnonzero(available[south]).tolist() == list(range(30))
    assert np.flatnonzero(available["new"]).tolist() == list(range(30, 40))
    with closing(Learner(new_policy(), *folders)) as restarted:  # the checkpoint has the new arms
        assert set(restarted.policy.arm_names) == {north, "new"}


def test_a_batch_of_arms_that_left_is_passed_over_once(folders):
    with DecisionLog(folders[0]) as log:
        agent = Agent(LinUCB(arm_names=("gone",)), ENCODER, log)
        for query in numbered_queries(5):
            agent.choose(query)
            agent.reward(query.id, 1.0)
    with closing(Learner(LinUCB(arm_names=("a", "gone")), *folders, batch=5)) as learner:
        learner.keep_arms(("a",))
        assert [learner.step(), learner.step(), learner.n_learned] == [5, 0, 0]


def test_what_does_not_fit_is_refused(folders):
    fill(folders[0], 10)
    learner = Learner(new_policy(), *folders, batch=5)
    learner.step()
    with pytest.raises(RuntimeError, match="close that learner first"):
        Learner(new_policy(), *folders)
    learner.close()
    with pytest.raises(ValueError, match="use another checkpoint folder"):
        Learner(new_policy(ucb_width=9.0), *folders)
    with pytest.raises(ValueError, match="use another checkpoint folder"):
        Learner(LinUCB(), *folders)
    with pytest.raises(ValueError, match="batch must be an integer >= 1"):
        Learner(new_policy(), *folders, batch=0)
    (folders[1] / "checkpoint.json").write_text("{}")
    with pytest.raises(ValueError, match=r"checkpoint.json is damaged.*delete the folder"):
        Learner(new_policy(), *folders)


def test_a_log_cut_back_behind_the_learner_is_refused(folders):
    fill(folders[0], 10)
    learner = Learner(new_policy(), *folders, batch=10)
    learner.step()
    file = max(folders[0].glob("segment-*.jsonl"))
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ValueError, match="cut back behind what was read before"):
        learner.step()
    learner.close()
