"""A policy at the wheel: it chooses once a query, is asked by name, and refuses what does not fit."""

import numpy as np
import pytest

from bandits import EpsilonGreedy, FullInformationData, HashingEncoder, LinUCB, Uniform
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.pools.pool import load_pool, read_pool_spec
from speculative.selectors.policy_selector import PolicySelector
from tests.support.tiny_pool import ARMS, queries, save_pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return load_pool(read_pool_spec(save_pool(tmp_path_factory.mktemp("pool"))))


def _learned(encoder, arm_names, n=12):
    """A policy for which the first of its arms suits domain "words", the last one "letters"."""
    asked = queries(n)
    rewards = np.zeros((n, len(arm_names)))
    rewards[::2, 0] = rewards[1::2, -1] = 1.0
    contexts = encoder.encode([query.text for query in asked])
    data = FullInformationData(contexts, rewards, arm_names, encoder=encoder.name)
    return LinUCB(ucb_width=0.0).fit(data)


def _generate(pool, selector, asked):
    engine = Engine(pool.target.model, pool.arms, selector, max_batch=3)
    return generate(engine, [pool.target.request(query) for query in asked])


def test_the_policys_arm_works_in_every_round(pool):
    policy = _learned(pool.encoder, ("draft_small_2", "prompt_lookup_7"))  # other order, fewer arms
    selector = PolicySelector(policy, pool.encoder, ARMS, np.random.default_rng(0))
    asked = queries(8)
    for query, generation in zip(asked, _generate(pool, selector, asked), strict=True):
        context = pool.encoder.encode([query.text])[0]
        best = policy.arm_names[int(np.argmax(policy.probabilities(context[None])[0]))]
        decision = selector.decisions[query.id]
        assert (decision.arm, decision.action, decision.propensity) == (best, ARMS.index(best), 1.0)
        assert set(generation.stats.actions) == {decision.action}
        assert selector.probabilities(query.id)[best] == 1.0
        assert selector.seconds[query.id] >= 0
        np.testing.assert_array_equal(selector.contexts[query.id], context)
    assert len({decision.arm for decision in selector.decisions.values()}) == 2


def test_one_seed_gives_the_same_choices_and_propensities(pool):
    policy = EpsilonGreedy(_learned(pool.encoder, ARMS), epsilon=0.5)
    runs = []
    for _ in range(2):
        selector = PolicySelector(policy, pool.encoder, ARMS, np.random.default_rng(7))
        _generate(pool, selector, queries(8))
        runs.append(selector.decisions)
    assert runs[0] == runs[1]
    for decision in runs[0].values():
        assert decision.propensity in (pytest.approx(0.125), pytest.approx(0.625))


def test_texts_do_not_depend_on_the_choice(pool):
    plain = _generate(pool, None, queries(6))
    uniform = PolicySelector(Uniform(ARMS), pool.encoder, ARMS, np.random.default_rng(0))
    assert [g.token_ids for g in _generate(pool, uniform, queries(6))] == [g.token_ids for g in plain]


def test_what_does_not_fit_is_refused(pool):
    rng = np.random.default_rng(0)
    encoder = pool.encoder
    with pytest.raises(ValueError, match="knows no arms yet"):
        PolicySelector(Uniform(), encoder, ARMS, rng)
    with pytest.raises(ValueError, match="the pool has no arm 'eagle_4'"):
        PolicySelector(_learned(encoder, ("no_draft", "eagle_4")), encoder, ARMS, rng)
    with pytest.raises(ValueError, match=r"learned from contexts of 'hashing-9'.*'hashing-8'"):
        PolicySelector(_learned(HashingEncoder(9), ARMS), encoder, ARMS, rng)
    unnamed = _learned(HashingEncoder(9), ARMS)
    unnamed.learned.encoder = None
    with pytest.raises(ValueError, match="contexts of 9 features, the pool's encoder 'hashing-8' gives 8"):
        PolicySelector(unnamed, encoder, ARMS, rng)
