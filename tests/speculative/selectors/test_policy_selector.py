"""A policy at the wheel: it chooses once a query, is asked by name, and refuses what does not fit."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from bandits import DecisionLog, EpsilonGreedy, FullInformationData, HashingEncoder, LinUCB, LoggedData, Uniform
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.pools.pool import Pool
from speculative.protocols.request import Request
from speculative.protocols.selector import QueryState, RoundContext
from speculative.selectors.policy_selector import PolicySelector
from tests.support.tiny_pool import ARMS, queries, save_pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool.load(save_pool(tmp_path_factory.mktemp("pool")))


def _learned(encoder, arm_names, n=12):
    """A policy for which the first of its arms suits domain "words", the last one "letters"."""
    asked = queries(n)
    rewards = np.zeros((n, len(arm_names)))
    rewards[::2, 0] = rewards[1::2, -1] = 1.0
    contexts = encoder.encode([query.text for query in asked])
    data = FullInformationData(contexts, rewards, arm_names, encoder=encoder.name)
    return LinUCB(ucb_width=0.0).fit(data)


def _generate(pool, selector, asked):
    engine = Engine(pool.target.model, pool.arms, selector, settings=EngineSettings(max_batch=3))
    return generate(engine, [pool.target.request(query) for query in asked])


def test_the_policys_arm_works_in_every_round(pool):
    policy = _learned(pool.encoder, ("draft_small_2", "prompt_lookup_7"))  # other order, fewer arms
    chosen = {}
    selector = PolicySelector(
        policy,
        pool.encoder,
        ARMS,
        np.random.default_rng(0),
        on_finish=lambda choice: chosen.update({choice.request_id: choice}),
    )
    asked = queries(8)
    for query, generation in zip(asked, _generate(pool, selector, asked), strict=True):
        context = pool.encoder.encode([query.text])[0]
        best = policy.arm_names[int(np.argmax(policy.probabilities(context[None])[0]))]
        choice = chosen[query.id]
        assert (choice.decision.arm, choice.decision.propensity) == (best, 1.0)
        assert policy.arm_names[choice.decision.action] == ARMS[choice.action] == best
        assert set(generation.stats.actions) == {choice.action}
        assert choice.decision.probabilities == {name: float(name == best) for name in policy.arm_names}
        assert choice.seconds >= 0
        np.testing.assert_array_equal(choice.context, context)
    assert len({choice.action for choice in chosen.values()}) == 2


def test_one_seed_gives_the_same_choices_and_propensities(pool):
    policy = EpsilonGreedy(_learned(pool.encoder, ARMS), epsilon=0.5)
    runs = []
    for _ in range(2):
        choices = []
        _generate(
            pool,
            PolicySelector(policy, pool.encoder, ARMS, np.random.default_rng(7), on_finish=choices.append),
            queries(8),
        )
        runs.append({choice.request_id: choice.decision for choice in choices})
    assert runs[0] == runs[1]
    for decision in runs[0].values():
        assert decision.propensity in (pytest.approx(0.125), pytest.approx(0.625))
        assert decision.probabilities[decision.arm] == decision.propensity


def _serve_one(selector, request_id):
    selector.start(QueryState(Request(request_id, (1,), 4, text="some text"), torch.zeros(2), torch.zeros(2)))
    selector.select([RoundContext(request_id, 1, 0, (True,) * len(ARMS))])
    selector.finish(request_id)


def test_the_distribution_handed_over_is_the_one_drawn_from_though_the_policy_learns_meanwhile():
    encoder, choices = HashingEncoder(8), []
    policy = _learned(encoder, ARMS)
    selector = PolicySelector(policy, encoder, ARMS, np.random.default_rng(0), on_finish=choices.append)
    before = policy.probabilities(encoder.encode(["some text"]))[0]
    selector.start(QueryState(Request("a", (1,), 4, text="some text"), torch.zeros(2), torch.zeros(2)))
    worst = int(np.argmin(before))
    policy.update(LoggedData(encoder.encode(["some text"]), [worst], [100.0], [0.5], ARMS, encoder=encoder.name))
    selector.finish("a")
    np.testing.assert_array_equal(list(choices[0].decision.probabilities.values()), before)
    assert policy.probabilities(encoder.encode(["some text"]))[0, worst] != before[worst]


def test_every_choice_is_logged_under_the_policys_arms_before_a_draft_runs(pool, tmp_path):
    policy = EpsilonGreedy(_learned(pool.encoder, ("draft_small_2", "prompt_lookup_7")), epsilon=0.5)
    asked, rng = queries(8), np.random.default_rng(0)
    with DecisionLog(tmp_path) as log:
        choices = {}

        def finished(choice):
            assert choice.request_id in log.open_queries
            choices[choice.request_id] = choice
            log.rewarded(choice.request_id, float(choice.action))

        _generate(pool, PolicySelector(policy, pool.encoder, ARMS, rng, on_finish=finished, log=log), asked)
        data = log.to_logged_data()
    assert data.arm_names == policy.arm_names != ARMS
    for row, query_id in enumerate(data.query_ids):
        choice = choices[query_id]
        assert data.arm_names[data.actions[row]] == ARMS[choice.action]
        assert data.rewards[row] == choice.action
        np.testing.assert_array_equal(data.action_probabilities[row], policy.probabilities(choice.context[None])[0])
    assert len(choices) == 8


def test_memory_does_not_grow_with_the_requests_served():
    selector = PolicySelector(Uniform(ARMS), HashingEncoder(8), ARMS, np.random.default_rng(0))
    for i in range(100):
        _serve_one(selector, f"warm-up {i}")
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for i in range(2000):
        _serve_one(selector, f"request {i}")
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 100_000  # a context and a decision each would be megabytes


def test_a_request_whose_start_raised_is_finished_in_silence():
    choices = []
    selector = PolicySelector(
        Uniform(ARMS), HashingEncoder(8), ARMS, np.random.default_rng(0), on_finish=choices.append
    )
    selector.finish("never started")
    assert choices == []


def test_texts_do_not_depend_on_the_choice(pool):
    plain = _generate(pool, None, queries(6))
    uniform = PolicySelector(Uniform(ARMS), pool.encoder, ARMS, np.random.default_rng(0))
    assert [g.token_ids for g in _generate(pool, uniform, queries(6))] == [g.token_ids for g in plain]


def test_what_does_not_fit_is_refused(pool):
    rng = np.random.default_rng(0)
    encoder = pool.encoder
    with pytest.raises(ValueError, match="knows no arms yet"):
        PolicySelector(Uniform(), encoder, ARMS, rng)
    with pytest.raises(ValueError, match="there is no arm 'eagle_4'"):
        PolicySelector(_learned(encoder, ("no_draft", "eagle_4")), encoder, ARMS, rng)
    with pytest.raises(ValueError, match=r"one encoder, got 'hashing-9' and 'hashing-8'"):
        PolicySelector(_learned(HashingEncoder(9), ARMS), encoder, ARMS, rng)
    unnamed = _learned(HashingEncoder(9), ARMS)
    unnamed.state = replace(unnamed.learned, encoder=None)
    with pytest.raises(ValueError, match="contexts of 9 features, the pool's encoder 'hashing-8' gives 8"):
        PolicySelector(unnamed, encoder, ARMS, rng)
