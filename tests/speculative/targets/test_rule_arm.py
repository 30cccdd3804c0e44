"""A rule over arms is an arm: it answers, is chosen, and refuses what it cannot be."""

import pytest

from arms import Query
from bandits import BestFixedArm, FullInformationData
from rewards import TimeSaved
from speculative.collection.collect import collect
from speculative.collection.recost import recost
from speculative.pools.pool import Pool
from speculative.sampling.sampling_params import SamplingParams
from speculative.targets.rule_arm import RuleArm
from speculative.targets.speculative_arm import SpeculativeArm
from tests.support.equal_data import assert_equal_data
from tests.support.tiny_pool import ARMS, POOL, plain_costs, queries, save_pool

RULE = """
[[arms]]
kind = "rule"
name = "copy_else_draft"
clauses = [{ arm = "prompt_lookup_7", min_match_length = 3 }, { arm = "prompt_lookup_3", min_match_length = 2 }]
fallback = "draft_small_2"
"""
PROMPT = "count: one two one two one"
COSTS = plain_costs("prompt_lookup", "draft_small")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rules")


@pytest.fixture(scope="module")
def pool(folder):
    return Pool.load(save_pool(folder, pool=POOL + RULE))


def test_a_pool_file_names_a_rule_and_the_pool_answers_with_it(pool):
    assert pool.arms.names == (*ARMS, "copy_else_draft")
    assert [draft.name for draft in pool.drafts] == ["no_draft", "prompt_lookup", "draft_small"]
    plain, ruled = pool.generate(PROMPT), pool.generate(PROMPT, policy="copy_else_draft")
    assert ruled.text == plain.text
    assert set(ruled.stats.actions) == {len(ARMS)}
    assert ruled.stats.n_rounds < plain.stats.n_rounds


def test_a_rule_is_collected_priced_and_chosen_like_any_arm(pool, tmp_path):
    data = collect(queries(6), pool, tmp_path, COSTS)
    rule = pool.arms["copy_else_draft"]
    for row, query in zip(data.observations, queries(6), strict=True):
        real = rule.pull(query, 0)
        assert (row[-1].proposed, row[-1].accepted, row[-1].text) == (real.proposed, real.accepted, real.text)
    assert_equal_data(collect(queries(6), pool, tmp_path, COSTS), data)
    dearer = plain_costs("prompt_lookup", "draft_small", token_s=0.4)
    priced = recost(tmp_path, dearer)
    fresh = collect(queries(6), pool, tmp_path.with_name("fresh"), dearer)
    assert_equal_data(priced, fresh)
    policy = BestFixedArm().fit(FullInformationData.load(tmp_path).with_reward(TimeSaved()))
    assert pool.generate(PROMPT, policy=policy).text == pool.generate(PROMPT).text


def test_a_target_takes_rules_among_the_arms_of_a_call(pool):
    arms = [pool.arms["no_draft"], pool.arms["copy_else_draft"]]
    policy = BestFixedArm(arm_names=[arm.name for arm in arms])
    assert pool.target.generate(PROMPT, draft=arms, policy=policy).text == pool.target.generate(PROMPT).text


def test_requests_of_a_batch_follow_the_rule_each_by_its_own_text(pool):
    rule = pool.arms["copy_else_draft"]
    engine = pool.target.engine([rule], max_batch=3)
    asked = [pool.target.request(query) for query in queries(3)]
    for request in asked:
        engine.submit(request)
    while engine.n_unfinished:
        engine.step()
    for query in queries(3):
        found, alone = engine.take(query.id), rule.pull(query, 0)
        assert tuple(found.stats.proposed) == alone.proposed


def test_a_rule_has_a_fingerprint_of_its_own(pool):
    fixed = {name: pool.arms[name] for name in ARMS}
    clauses = [(fixed["prompt_lookup_7"], 3), (fixed["prompt_lookup_3"], 2)]
    same = RuleArm(clauses, fixed["draft_small_2"], name="other")
    less = RuleArm([(fixed["prompt_lookup_7"], 2), clauses[1]], fixed["draft_small_2"], name="other")
    assert same.fingerprint() == pool.arms["copy_else_draft"].fingerprint() != less.fingerprint()
    assert same.pull(Query(id="q", prompt=PROMPT), 0).own_text is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ('arm = "prompt_lookup_7"', 'arm = "suffix_7"'),
            "names arm 'suffix_7'; the pool has no_draft, ",
        ),
        (('fallback = "draft_small_2"', 'fallback = "eagle"'), "names arm 'eagle'; the pool has"),
        (
            ('fallback = "draft_small_2"', 'fallback = "copy_else_draft"'),
            "must choose among fixed arms, but 'copy",
        ),
        (
            ('arm = "prompt_lookup_3"', 'arm = "prompt_lookup_7"'),
            "each arm once, .* got 'prompt_lookup_7' twice",
        ),
        (("min_match_length = 3", "min_match_length = 5"), r"must be in \[0, 4\], because its draft finds .* got 5"),
        (("min_match_length = 3", "min_match_length = -1"), r"arms\.4\.clauses\.0\.min_match_length: .*, got -1"),
        (
            ('"prompt_lookup_3", min_match_length = 2', '"no_draft", min_match_length = 1'),
            r"'no_draft' must be in \[0, 0\], because its draft looks nothing up; got 1",
        ),
        (("name = ", "title = "), r"arms\.4\.title: unknown key; there are"),
        (("fallback = ", "else = "), r"arms\.4\.else: unknown key; there are"),
        (("clauses = [", "clauses = [] # ["), r"arms\.4\.clauses: .*at least 1 item"),
        (
            ('kind = "rule"', 'kind = "rule"\ndraft_length = 3'),
            r"arms\.4\.draft_length: unknown key; .*, got 3",
        ),
        (("copy_else_draft", "no_draft"), "an arm before it is named 'no_draft'; give one another name"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_name(pool, folder, change, message):
    file = folder / "other.toml"
    file.write_text(POOL + RULE.replace(*change, 1))
    with pytest.raises(ValueError, match=message) as refusal:
        Pool.load(file)
    assert str(file) in str(refusal.value)


def test_a_rule_over_other_arms_or_over_rules_is_refused(pool):
    fixed, rule = [pool.arms[name] for name in ARMS], pool.arms["copy_else_draft"]
    with pytest.raises(ValueError, match="over arm 'prompt_lookup_7', which the pool must hold too; it has no_draft"):
        Pool(pool.target, [fixed[0], rule], encoder=pool.encoder)
    with pytest.raises(TypeError, match="must choose among fixed arms"):
        RuleArm([(fixed[1], 1)], rule, name="nested")
    with pytest.raises(ValueError, match="must have at least one clause"):
        RuleArm([], fixed[0], name="empty")


def test_arms_whose_texts_would_differ_are_no_rule(pool):
    greedy, sampled = (
        SpeculativeArm(pool.target, pool.arms["prompt_lookup_7"].draft, n, sampling=SamplingParams(temperature=t))
        for n, t in ((7, 0.0), (3, 0.8))
    )
    for arm, fallback in ((greedy, sampled), (sampled, greedy)):
        with pytest.raises(ValueError, match=r"rule 'mixed': its arms must share one sampling.*temperature=0\.8"):
            RuleArm([(arm, 2)], fallback, name="mixed")
