"""Full information in a decision log is kept as it is, and no answer is learned by it and by its reward as well."""

from contextlib import closing

import numpy as np
import pytest

from arms import Observation, Query
from bandits import Agent, BestFixedArm, DecisionLog, HashingEncoder, Learner, LinUCB, Uniform
from bandits.online import Hindsight
from bandits.online.hindsight import HINDSIGHT, full_information
from bandits.online.segments import read_records
from bandits.policies import Discounted, Hedge
from rewards import SecondsPerToken

NAMES = ("plain", "look_up", "model")
TOLD = NAMES[:2]
ENCODER = HashingEncoder(4)


def fill(folder, n):
    """Log n decisions, their rewards and what the first two arms would have brought; return the tables by hand."""
    rng, rewarded, told = np.random.default_rng(0), [], []
    with DecisionLog(folder, sync_every=0) as log:
        agent = Agent(Uniform(NAMES), ENCODER, log, seed=3)
        for number in range(n):
            query, values = Query(id=f"q{number}", prompt=f"words {number % 7}"), rng.random(3)
            decision = agent.choose(query)
            made = log.decision(query.id)
            agent.reward(query.id, values[decision.action])
            rewarded.append((made.context, decision.action, values[decision.action], decision.propensity))
            log.noted(HINDSIGHT, Hindsight.of(made, dict(zip(TOLD, values.tolist(), strict=False))).to_record())
            told.append((made.context, values[:2]))
    return rewarded, told


def learned(folder, policy, log=None, batch=9, **settings):
    log = log or folder / "log"
    with closing(Learner(policy, log, folder / "learner", batch=batch, **settings)) as learner:
        while learner.step(whole_batches=False):
            pass
    return learner


def test_a_record_gives_back_what_was_told(tmp_path):
    fill(tmp_path, 2)
    found = [Hindsight.from_record(p.record) for p in read_records(tmp_path) if p.record["kind"] == HINDSIGHT]
    assert [one.query_id for one in found] == ["q0", "q1"]
    data = full_information(found, NAMES)
    assert data.observed.tolist() == [[True, True, False]] * 2
    assert data.encoder == ENCODER.name
    np.testing.assert_array_equal(data.contexts[0], ENCODER.encode_query(Query(id="q0", prompt="words 0")))


@pytest.mark.parametrize("make", [lambda: LinUCB(arm_names=NAMES), BestFixedArm, Hedge], ids=["lin", "fixed", "hedge"])
@pytest.mark.parametrize("n_told", [1, 2])
def test_arms_that_are_told_are_learned_from_every_query_once_and_the_others_from_rewards(tmp_path, make, n_told):
    rewarded, told = fill(tmp_path / "log", 60)
    found = learned(tmp_path, make(), hindsight=TOLD[:n_told]).policy  # records may tell of more arms
    own = [row for row in rewarded if row[1] >= n_told]
    reference = make()
    reference.start(NAMES, 4, ENCODER.name)
    contexts, actions, rewards, propensities = (np.array(column) for column in zip(*own, strict=True))
    reference.update(contexts, actions, rewards, propensities, NAMES)
    contexts, values = (np.array(column) for column in zip(*told, strict=True))
    for arm in range(n_told):  # plain rows, which nothing weighs
        reference.update(contexts, np.full(len(values), arm), values[:, arm], None, NAMES)
    for name, array in reference.learned.per_arm.items():
        np.testing.assert_allclose(found.learned.per_arm[name], array, rtol=1e-6, atol=1e-9)


def test_a_policy_that_forgets_learns_rewards_and_records_in_the_order_of_the_log_whatever_the_batches(tmp_path):
    fill(tmp_path / "log", 40)
    make = lambda: Discounted(BestFixedArm(), discount=0.9)  # noqa: E731
    found = [learned(tmp_path / str(batch), make(), tmp_path / "log", batch, hindsight=TOLD) for batch in (1, 7, 100)]
    assert len({one.n_learned for one in found}) == 1
    for one in found[1:]:
        for name, array in found[0].policy.learned.per_arm.items():
            np.testing.assert_allclose(one.policy.learned.per_arm[name], array, rtol=1e-9)


def test_records_are_passed_over_where_hindsight_is_not_asked_for(tmp_path):
    rewarded, _ = fill(tmp_path / "log", 30)
    learner = learned(tmp_path, BestFixedArm())
    assert learner.n_learned == len(rewarded)


@pytest.mark.parametrize(("encoder", "n_features"), [("other", 4), ("one", 5)])
def test_contexts_of_two_encoders_are_refused(encoder, n_features):
    told = [Hindsight("first", np.zeros(4, np.float32), "one", {"plain": 0.5})]
    told.append(Hindsight("second", np.zeros(n_features, np.float32), encoder, {"plain": 0.5}))
    with pytest.raises(ValueError, match=r"query 'first' \(4 features\) and query 'second' .* of one encoder"):
        full_information(told, NAMES)


def test_a_failed_pull_is_learned_from_its_reward_since_no_record_tells_of_it(tmp_path):
    with DecisionLog(tmp_path / "log", sync_every=0) as log:
        agent = Agent(Uniform(NAMES), ENCODER, log, reward=SecondsPerToken(10.0), seed=3)
        arms = [agent.choose(Query(id=f"q{number}", prompt="words")).arm for number in range(30)]
        for number, arm in enumerate(arms):
            agent.observe(Observation.failed(arm, f"q{number}", "the engine ended the text", 0.1))
    found = learned(tmp_path, BestFixedArm(arm_names=NAMES), hindsight=TOLD)
    assert found.n_learned == 30
    np.testing.assert_array_equal(
        found.policy.learned.per_arm["rewards"],
        BestFixedArm(arm_names=NAMES).fit(DecisionLog.load(tmp_path / "log")).learned.per_arm["rewards"],
    )


@pytest.mark.parametrize(("before", "after"), [((), TOLD), (TOLD, ()), (TOLD, ("look_up",))])
def test_an_arm_goes_on_being_learned_as_it_was_or_anew(tmp_path, before, after):
    fill(tmp_path / "log", 30)
    learned(tmp_path, Hedge(arm_names=NAMES), hindsight=before)
    for _ in range(2):  # nothing that is refused changes the checkpoint
        with pytest.raises(ValueError, match=r"hindsight must be of the arms that .* got a change for .*plain"):
            learned(tmp_path, Hedge(arm_names=NAMES), hindsight=after)
    anew = learned(tmp_path, Hedge(arm_names=NAMES), hindsight=after, relearn=True)
    fill(tmp_path / "other" / "log", 30)
    start = learned(tmp_path / "other", Hedge(arm_names=NAMES), hindsight=after)
    for name, array in start.policy.learned.per_arm.items():
        np.testing.assert_array_equal(anew.policy.learned.per_arm[name], array)
    assert learned(tmp_path, Hedge(arm_names=NAMES), hindsight=after).n_learned == start.n_learned


def test_arms_told_in_hindsight_may_leave_and_join(tmp_path):
    fill(tmp_path / "log", 30)
    learned(tmp_path, Hedge(arm_names=NAMES), hindsight=TOLD)
    now = ("look_up", "new", "model")
    with closing(Learner(Hedge(arm_names=NAMES), tmp_path / "log", tmp_path / "learner", hindsight=now[:2])) as learner:
        learner.keep_arms(now)
        assert learner.step() == 0
    assert learned(tmp_path, Hedge(arm_names=NAMES), hindsight=now[:2]).policy.arm_names == learner.policy.arm_names
