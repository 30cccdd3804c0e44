"""The loop: what is served was logged before, seeds replay it, threads share it, and each misuse has one error."""

import threading

import numpy as np
import pytest

from arms import Query
from bandits import Agent, DecisionLog, EpsilonGreedy, HashingEncoder, LinUCB, LoggedData, Uniform
from tests.support.fake_endpoints import ARM_NAMES, TOKENS_GIVEN, FakeEndpoint, TokensGiven, endpoints, numbered_queries

ENCODER = HashingEncoder(8)


@pytest.fixture
def log(tmp_path):
    with DecisionLog(tmp_path / "log") as log:
        yield log


def make_agent(log, policy=None, **settings):
    settings = {"arms": endpoints(), "reward": TOKENS_GIVEN, "seed": 5} | settings
    return Agent(policy or EpsilonGreedy(LinUCB(), epsilon=0.5), ENCODER, log, **settings)


def test_every_answer_is_a_row_of_the_log(log):
    agent, queries = make_agent(log), numbered_queries(40)
    observations = [agent.answer(query) for query in queries]
    data = log.to_logged_data()
    assert [data.arm_names[action] for action in data.actions] == [seen.arm for seen in observations]
    assert data.query_ids == tuple(query.id for query in queries)
    np.testing.assert_array_equal(data.rewards, [TOKENS_GIVEN(seen) for seen in observations])
    np.testing.assert_array_equal(data.contexts, ENCODER.encode([query.text for query in queries]))
    np.testing.assert_array_equal(data.action_probabilities, agent.policy.probabilities(data.contexts))


def test_a_decision_is_in_the_log_before_its_arm_is_pulled(log):
    class Looks(FakeEndpoint):
        def pull(self, query, seed):
            assert log.open_queries == (query.id,)
            return super().pull(query, seed)

    agent = make_agent(log, arms=[Looks("north", 0, 0.0), Looks("south", 1, 0.0)])
    assert not agent.answer(numbered_queries(1)[0]).failure
    assert log.open_queries == ()


def test_a_pull_that_fails_is_logged_with_what_a_failure_is_worth(log):
    agent = make_agent(log, arms=endpoints(failure_rate=1.0))
    seen = agent.answer(numbered_queries(1)[0])
    assert "gave no answer" in seen.failure
    assert log.to_logged_data().rewards.tolist() == [0.0]


def test_one_seed_replays_a_run_and_another_does_not(tmp_path):
    runs = []
    for folder, seed in (("first", 5), ("again", 5), ("other", 6)):
        with DecisionLog(tmp_path / folder) as log:
            agent = make_agent(log, seed=seed)
            for query in numbered_queries(60):
                agent.answer(query)
            runs.append(log.to_logged_data())
    np.testing.assert_array_equal(runs[0].actions, runs[1].actions)
    np.testing.assert_array_equal(runs[0].rewards, runs[1].rewards)
    assert (runs[0].actions != runs[2].actions).any()


def test_a_query_asked_again_is_drawn_anew(log):
    agent, query = make_agent(log, Uniform(ARM_NAMES)), numbered_queries(1)[0]
    chosen = []
    for _ in range(30):
        chosen.append(agent.choose(query).arm)
        agent.reward(query.id, 0.5)
    assert set(chosen) == set(ARM_NAMES)


def test_online_use_takes_two_calls(log):
    agent = Agent(Uniform(ARM_NAMES), ENCODER, log)
    for query in numbered_queries(3):
        decision = agent.choose(query)
        agent.reward(query.id, float(decision.arm == "north"))
    data = log.to_logged_data()
    np.testing.assert_array_equal(data.rewards, data.actions == 0)
    assert data.propensities.tolist() == [0.5] * 3


def test_only_available_arms_are_chosen(log):
    class OnlySouth(Agent):
        def available(self, query):
            return ("south",)

    agent = OnlySouth(Uniform(ARM_NAMES), ENCODER, log, arms=endpoints(), reward=TOKENS_GIVEN)
    for query in numbered_queries(5):
        agent.answer(query)
    data = log.to_logged_data()
    assert (data.actions.tolist(), data.propensities.tolist()) == ([1] * 5, [1.0] * 5)
    assert data.available.tolist() == [[False, True]] * 5


def test_the_served_policy_and_its_version_change_together(log):
    agent = make_agent(log, Uniform(ARM_NAMES))
    agent.choose(Query(id="before", prompt="a"))
    agent.serve(EpsilonGreedy(Uniform(ARM_NAMES), epsilon=0.5), "17")
    agent.choose(Query(id="after", prompt="b"))
    made = [log.decision(name).policy for name in ("before", "after")]
    assert [(one.name, one.version) for one in made] == [("Uniform", "0"), ("EpsilonGreedy", "17")]


def test_open_decisions_are_finished_with_the_arm_and_seed_of_the_first_try(tmp_path):
    queries = numbered_queries(20)
    rows = []
    for folder, stops in (("whole", False), ("stopped", True)):
        for query in queries:
            with DecisionLog(tmp_path / folder) as log:
                agent = make_agent(log)
                agent.choose(query) if stops else agent.answer(query)
            with DecisionLog(tmp_path / folder) as log:
                resumed = make_agent(log).resume(queries)
                assert [seen.query_id for seen in resumed] == [query.id] * stops
        rows.append(DecisionLog.load(tmp_path / folder))
    np.testing.assert_array_equal(rows[0].actions, rows[1].actions)
    np.testing.assert_array_equal(rows[0].rewards, rows[1].rewards)


def test_a_decision_given_up_is_a_failed_pull(log):
    agent = make_agent(log)
    agent.choose(Query(id="gone", prompt="a"))
    assert agent.give_up("gone", "the user left").failure == "the user left"
    assert log.to_logged_data().rewards.tolist() == [0.0]


def test_a_reward_that_cannot_value_a_pull_leaves_the_decision_open(log):
    query = numbered_queries(1)[0]
    agent = make_agent(log, arms=endpoints(failure_rate=1.0), reward=TokensGiven())
    with pytest.raises(ValueError, match="say what a failure is worth with OnFailure"):
        agent.answer(query)
    assert log.open_queries == ("q0",)
    make_agent(log, arms=endpoints(failure_rate=1.0)).resume([query])
    assert log.to_logged_data().rewards.tolist() == [0.0]


def test_each_misuse_has_one_clear_error(log):
    agent, query = make_agent(log), numbered_queries(1)[0]
    with pytest.raises(ValueError, match="no decision waits for a reward of query 'q0': choose for it first"):
        agent.reward("q0", 1.0)
    agent.choose(query)
    for ask in (agent.choose, agent.answer):
        with pytest.raises(ValueError, match="'q0' has a decision that waits for its reward"):
            ask(query)
    for value in (float("nan"), float("inf"), -0.1, 1.1, "1"):
        with pytest.raises(ValueError, match=r"the reward of query 'q0' must be a finite number in \[0, 1\], got"):
            agent.reward("q0", value)
    agent.reward("q0", 0.75)
    with pytest.raises(ValueError, match=r"'q0' was rewarded before, with 0.75"):
        agent.reward("q0", 0.5)
    with pytest.raises(ValueError, match="no decision waits for a reward of query 'x'"):
        agent.give_up("x", "gone")


def test_what_does_not_fit_together_is_refused(log):
    with pytest.raises(ValueError, match="the policy knows no arms yet"):
        Agent(LinUCB(), ENCODER, log)
    with pytest.raises(ValueError, match="may choose 'west', which is not among the arms"):
        make_agent(log, Uniform(("north", "west")))
    fitted = LinUCB().fit(LoggedData(np.ones((1, 8)), [0], [1.0], [0.5], ARM_NAMES, encoder="another"))
    with pytest.raises(ValueError, match="'another' and 'hashing-8'"):
        make_agent(log, fitted)
    for bare in (Agent(Uniform(ARM_NAMES), ENCODER, log), make_agent(log, Uniform(ARM_NAMES), arms=())):
        with pytest.raises(RuntimeError, match="needs arms to pull and a reward"):
            bare.answer(numbered_queries(1)[0])
    assert log.open_queries == ()


def test_many_threads_share_one_agent_and_no_decision_is_lost_or_doubled(log):
    agent, queries, errors = make_agent(log), numbered_queries(400), []

    def serve(first):
        try:
            for query in queries[first::8]:
                agent.answer(query)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=serve, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    data = log.to_logged_data()
    assert sorted(data.query_ids) == sorted(query.id for query in queries)
    assert log.n_decisions == 400


def test_a_slow_pull_and_a_slow_reward_hold_up_nobody(log):
    inside, release = threading.Event(), threading.Event()

    class Waits(FakeEndpoint):
        def pull(self, query, seed):
            if query.id == "q0":
                inside.set()
                assert release.wait(20)
            return super().pull(query, seed)

    agent = make_agent(log, arms=[Waits("north", 0, 0.0), Waits("south", 1, 0.0)])
    queries = numbered_queries(5)
    slow = threading.Thread(target=agent.answer, args=(queries[0],))
    slow.start()
    assert inside.wait(20)
    for query in queries[1:]:
        agent.answer(query)
    assert log.open_queries == ("q0",)
    release.set()
    slow.join()
    assert log.open_queries == ()


@pytest.mark.parametrize("use", [Agent.answer, Agent.choose])
def test_a_text_where_a_query_is_due_is_one_error(log, use):
    with pytest.raises(TypeError, match="a query must be a Query, got 'text': write Query"):
        use(make_agent(log), "text")
    assert log.n_decisions == 0


def test_a_default_reward_closes_what_waited_too_long_and_later_ones_are_kept(tmp_path):
    with DecisionLog(tmp_path) as log:
        agent = Agent(Uniform(arm_names=("a", "b")), HashingEncoder(4), log)
        for name in ("first", "second", "third"):
            agent.choose(Query(id=name, prompt="x"))
        agent.reward("first", 1.0)
        assert agent.close_overdue(3600.0, 0.25) == ()
        assert agent.close_overdue(0.0, 0.25) == ("second", "third")
        log.late("third", 1.0)
        with pytest.raises(ValueError, match="the first counts"):
            agent.reward("second", 1.0)
        with pytest.raises(ValueError, match="window_s must be"):
            agent.close_overdue(-1.0, 0.25)
    assert DecisionLog.load(tmp_path).rewards.tolist() == [1.0, 0.25, 0.25]


def test_a_decision_whose_arm_is_being_pulled_is_never_overdue(log):
    closed = []

    class Closes(FakeEndpoint):
        def pull(self, query, seed):
            closed.append(agent.close_overdue(0.0, 0.0))
            return super().pull(query, seed)

    agent = make_agent(log, arms=[Closes("north", 0, 0.0), Closes("south", 1, 0.0)])
    answered, resumed, waiting = numbered_queries(3)
    agent.answer(answered)
    agent.choose(resumed)
    assert len(agent.resume([resumed])) == 1
    assert closed == [(), ()]
    agent.choose(waiting)
    assert agent.close_overdue(0.0, 0.0) == (waiting.id,)
    assert len(log.to_logged_data()) == 3


def test_what_was_closed_as_overdue_meanwhile_is_not_resumed(log):
    class Closes(FakeEndpoint):
        def pull(self, query, seed):
            assert agent.close_overdue(0.0, 0.0) == ("q1",)
            return super().pull(query, seed)

    agent = make_agent(log, arms=[Closes("north", 0, 0.0), Closes("south", 1, 0.0)])
    queries = numbered_queries(2)
    for query in queries:
        agent.choose(query)
    assert [seen.query_id for seen in agent.resume(queries)] == ["q0"]
