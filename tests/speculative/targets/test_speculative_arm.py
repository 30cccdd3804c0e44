"""The arm keeps the contract of `Arm` and returns the target's text."""

from dataclasses import replace

import pytest

from arms import Query, pull_all
from arms.testing.arms import check_arm
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.pools.pool import Pool
from speculative.sampling.sampling_params import SamplingParams
from speculative.targets.speculative_arm import SpeculativeArm
from tests.support.tiny_pool import queries, save_pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return Pool.load(save_pool(tmp_path_factory.mktemp("pool")))


def test_every_arm_keeps_the_contract(pool):
    asked = [*queries(3), Query(id="short", prompt="abc", max_new_tokens=1)]
    for arm in pool.arms:
        check_arm(arm, asked)


def test_every_arm_gives_no_drafts_text(pool):
    for query in queries(4):
        texts = {arm.pull(query, 0).text for arm in pool.arms}
        assert len(texts) == 1


def test_only_no_draft_has_the_targets_text_as_its_own(pool):
    plain, *others = (arm.pull(queries(1)[0], 0) for arm in pool.arms)
    assert plain.own_text == plain.text
    assert [other.own_text for other in others] == [None] * len(others)


def test_names_and_draft_lengths(pool):
    assert SpeculativeArm(pool.target, PromptLookup(), 5).name == "prompt_lookup_5"
    assert SpeculativeArm(pool.target, PromptLookup(), 5, name="mine").name == "mine"
    for draft, length in (
        (NoDraft(), 1),
        (PromptLookup(), 0),
        (PromptLookup(), -1),
        (PromptLookup(), None),
        (PromptLookup(), "2"),
    ):
        with pytest.raises(ValueError, match=f"draft_length must be .*got {length!r}"):
            SpeculativeArm(pool.target, draft, length)


def test_a_sampling_arm_draws_from_the_pulls_seed_and_keeps_the_contract(pool):
    arms = [SpeculativeArm(pool.target, arm.draft, arm.draft_length, sampling=SamplingParams(1.2)) for arm in pool.arms]
    for arm in arms:
        check_arm(arm, queries(2))
    [query] = queries(1)
    texts = [{arm.pull(query, seed).text for arm in arms} for seed in range(4)]
    assert [len(of_one_seed) for of_one_seed in texts] == [1] * 4  # whichever draft helps
    assert len(set.union(*texts)) > 1


def test_a_stop_string_of_the_sampling_ends_an_arms_text(pool):
    [query] = queries(1)
    plain = pool.arms["no_draft"].pull(query, 0).text
    stop = plain[3:5]
    for arm in pool.arms:
        stopped = SpeculativeArm(pool.target, arm.draft, arm.draft_length, sampling=SamplingParams(stop=[stop]))
        assert stopped.pull(query, 0).text == plain[: plain.index(stop)]


def test_a_resumed_job_notices_another_target_draft_length_or_sampling(pool, tmp_path):
    lookup = PromptLookup()
    pull_all([SpeculativeArm(pool.target, lookup, 3, name="arm")], queries(1), folder=tmp_path)
    again = pull_all([SpeculativeArm(pool.target, PromptLookup(), 3, name="arm")], queries(1), folder=tmp_path)
    assert len(again) == 1
    others = [
        SpeculativeArm(replace(pool.target, max_new_tokens=5), lookup, 3, name="arm"),
        SpeculativeArm(pool.target, PromptLookup(max_ngram=2), 3, name="arm"),
        SpeculativeArm(pool.target, lookup, 4, name="arm"),
        SpeculativeArm(pool.target, lookup, 3, name="arm", sampling=SamplingParams(1.2)),
    ]
    for other in others:
        with pytest.raises(ValueError, match="begun with other arms"):
            pull_all([other], queries(1), folder=tmp_path)
