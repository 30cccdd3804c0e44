"""A pool's own `generate`, `stream` and `learn`."""

import numpy as np
import pytest

from arms import Query
from bandits import BestFixedArm, FullInformationData, LinUCB, load_policy
from bandits.online import TimeBudget
from speculative import Pool, SamplingParams
from speculative.pools.learning import choose_policy
from tests.support.tiny_pool import ARMS, plain_costs, queries, save_pool

PROMPT = "count: one two one two one"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pool")


@pytest.fixture(scope="module")
def pool(folder):
    return Pool.load(save_pool(folder))


def test_a_policy_is_learned_and_generates(pool, folder):
    said = []
    policy = pool.learn([query.prompt for query in queries(6)], folder=folder / "data", cache=folder, say=said.append)
    [sentence] = said
    assert sentence.startswith("On 6 held-out prompts, ")
    assert sentence.endswith(".")
    assert set(policy.arm_names) == set(ARMS)
    assert len(FullInformationData.load(folder / "data")) == 6
    answer = pool.generate(PROMPT, policy=policy)
    assert answer.text == pool.target.generate(PROMPT).text
    assert "".join(pool.stream(PROMPT, policy=policy)) == answer.text
    saved = load_policy(policy.save(folder / "policy"))
    assert pool.generate(PROMPT, policy=saved).text == answer.text


def test_learning_goes_on_in_its_folder_and_prints_by_default(pool, folder, capsys, monkeypatch):
    costs = plain_costs(*(draft.name for draft in pool.drafts))
    monkeypatch.setattr("speculative.pools.pool.cached_costs", lambda *arguments: costs)  # a noisy profile is replaced
    asked = queries(4)
    first = pool.learn(asked, folder=folder / "again", cache=folder)
    assert "held-out prompts" in capsys.readouterr().out
    second = pool.learn(asked, folder=folder / "again", cache=folder)
    contexts = pool.encoder.encode([query.text for query in asked])
    np.testing.assert_array_equal(first.probabilities(contexts), second.probabilities(contexts))
    with pytest.raises(ValueError, match="was begun with other queries"):
        pool.learn(queries(3), folder=folder / "again", cache=folder)


def test_an_arm_is_named_in_place_of_a_policy(pool):
    plain, helped = pool.generate(PROMPT), pool.generate(PROMPT, policy="prompt_lookup_7")
    assert plain.text == helped.text
    assert set(plain.stats.actions) == {0}
    assert set(helped.stats.actions) == {ARMS.index("prompt_lookup_7")}
    with pytest.raises(ValueError, match="no arm is named 'oracle'"):
        pool.generate(PROMPT, policy="oracle")


def test_a_budget_of_lost_seconds_withholds_drafts_and_changes_no_text(pool):
    budget = TimeBudget(0.0, pace_s=1e-9)  # against no draft that takes no time every draft loses
    first, second = (pool.generate(PROMPT, policy="prompt_lookup_7", conservative=budget) for _ in range(2))
    assert first.text == second.text == pool.generate(PROMPT).text
    assert ARMS.index("prompt_lookup_7") in first.stats.actions
    assert set(second.stats.actions) == {0}
    assert budget.lost_s > 0
    assert "".join(pool.stream(PROMPT, policy="prompt_lookup_7", conservative=0.5)) == first.text
    alone = Pool(pool.target, [pool.arms["prompt_lookup_7"]])
    with pytest.raises(ValueError, match="an arm without a draft to fall back on, got prompt_lookup_7"):
        alone.generate(PROMPT, conservative=0.5)


def test_messages_queries_and_limits_are_taken(pool):
    answer = pool.generate([{"role": "user", "content": PROMPT}], sampling=SamplingParams(max_new_tokens=3))
    assert len(answer.token_ids) <= 3
    assert pool.generate(Query(id="mine", prompt=PROMPT)).request_id == "mine"


def test_prompts_without_ids_are_named_after_their_text_and_each_is_one_query(pool, folder):
    asked = [PROMPT, "abcabcabc", PROMPT, [{"role": "user", "content": "x"}]]
    for place, prompts in (("named", asked), ("reversed", asked[::-1])):
        pool.learn(prompts, folder=folder / place, cache=folder, allow_noisy_costs=True, say=lambda sentence: None)
    first, other = (FullInformationData.load(folder / place).query_ids for place in ("named", "reversed"))
    assert set(first) == set(other)
    assert first[2] == f"{first[0]}-2"
    with pytest.raises(TypeError, match="prompts must have an order, got a set"):
        pool.learn({PROMPT, "abc"}, cache=folder)
    with pytest.raises(TypeError, match="prompts must be several, got one string"):
        pool.learn(PROMPT, cache=folder)


def test_one_prompt_is_not_enough(pool, folder):
    with pytest.raises(ValueError, match="learn needs at least 2 prompts, got 1"):
        pool.learn([PROMPT], cache=folder)


def _data(seconds):
    """Two kinds of query, told apart by the context; no draft takes 1 s."""
    n = len(seconds)
    contexts = np.eye(2, dtype=np.float32)[np.arange(n) % 2]
    return FullInformationData(
        contexts=contexts,
        rewards=seconds[:, :1] - seconds,
        costs=seconds,
        arm_names=("no_draft", "short", "long"),
        query_ids=tuple(f"q{i}" for i in range(n)),
    )


def test_a_policy_is_used_where_it_pays_and_the_best_arm_where_it_does_not():
    noise = 0.01 * np.random.default_rng(0).random((60, 3))
    even = np.arange(60) % 2 == 0
    differs = np.stack([np.ones(60), np.where(even, 0.4, 0.8), np.where(even, 0.8, 0.4)], axis=1)
    policy, sentence = choose_policy(_data(differs + noise))
    assert not isinstance(policy, BestFixedArm)
    assert sentence.endswith("use the policy.")
    alike = np.tile([1.0, 0.5, 0.7], (60, 1))
    policy, sentence = choose_policy(_data(alike + noise))
    assert isinstance(policy, BestFixedArm)
    assert "use the fixed arm" in sentence
    assert LinUCB().fit(_data(alike + noise)).arm_names == policy.arm_names
