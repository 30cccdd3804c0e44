"""A target that answers with the arm that a policy chooses."""

import numpy as np
import pytest

from bandits import BestFixedArm, FullInformationData, HashingEncoder, LinUCB
from speculative import NoDraft, PolicySelector, Pool, PromptLookup, SamplingParams, SpeculativeArm, Target
from speculative.selectors import FixedSelector, PriorityRule
from speculative.targets import HiddenStateEncoder
from tests.support.tiny_pool import save_pool

PROMPT = "count: one two one two one"


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    folder = save_pool(tmp_path_factory.mktemp("pool")).parent / "target"
    return Target.load(str(folder), max_new_tokens=12)


@pytest.fixture(scope="module")
def arms(target):
    lookup = PromptLookup()
    return [SpeculativeArm(target, NoDraft()), SpeculativeArm(target, lookup, 3), SpeculativeArm(target, lookup, 7)]


def policy_for(arms, encoder, best):
    """A policy to which one arm was best on every prompt."""
    names = [arm.name for arm in arms]
    rewards = np.zeros((4, len(arms)))
    rewards[:, names.index(best)] = 1.0
    contexts = encoder.encode(["a", "bc", "def", "ghi"])
    return BestFixedArm().fit(FullInformationData(contexts, rewards, names, encoder=encoder.name))


@pytest.mark.parametrize("best", ["no_draft", "prompt_lookup_3", "prompt_lookup_7"])
def test_the_arm_that_a_policy_chooses_drafts_and_the_text_is_the_targets_own(target, arms, best):
    policy = policy_for(arms, HiddenStateEncoder(target), best)
    answer = target.generate(PROMPT, draft=arms, policy=policy)
    assert {arms[action].name for action in answer.stats.actions} == {best}
    assert answer.text == target.generate(PROMPT).text
    assert "".join(target.stream(PROMPT, draft=arms, policy=policy)) == answer.text


def test_a_selector_chooses_as_a_policy_does(target, arms):
    plain = target.generate(PROMPT).text
    encoder = HashingEncoder(8)
    names = [arm.name for arm in arms]
    chosen = PolicySelector(policy_for(arms, encoder, "prompt_lookup_7"), encoder, names, np.random.default_rng(0))
    for selector in (chosen, FixedSelector(2), PriorityRule({2: 2}, fallback=0)):
        assert target.generate(PROMPT, draft=arms, policy=selector).text == plain


def test_a_pool_encodes_by_the_targets_hidden_states_where_no_encoder_is_named(target, arms):
    pool = Pool(target, arms)
    policy = policy_for(arms, pool.encoder, "prompt_lookup_3")
    assert pool.encoder.name == HiddenStateEncoder(target).name
    assert pool.generate(PROMPT, policy=policy).text == target.generate(PROMPT).text


def test_the_policys_choice_is_drawn_with_the_samplings_seed(target, arms):
    policy = LinUCB(arm_names=[arm.name for arm in arms])  # nothing is learned yet: all arms are alike
    used = set()
    for seed in range(8):
        answer = target.generate(PROMPT, draft=arms, policy=policy, sampling=SamplingParams(seed=seed))
        used.update(answer.stats.actions)
    assert used == {0, 1, 2}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"policy": "fit"}, ValueError, "a policy chooses among arms: pass draft="),
        ({"policy": "fit", "draft": PromptLookup()}, ValueError, "a policy chooses among arms"),
        ({"draft": "arms"}, ValueError, "draft= holds 3 arms: pass policy="),
        ({"draft": "arms", "policy": "fit", "draft_length": 3}, ValueError, "draft_length goes with one draft"),
        ({"draft": [PromptLookup()], "policy": "fit"}, TypeError, "SpeculativeArms to choose among"),
        ({"draft": 3}, TypeError, "draft must be a draft"),
        ({"draft": "arms", "policy": 3}, TypeError, "policy must be a Policy or a Selector, got 3"),
        (
            {"draft": "arms", "policy": "hashing"},
            ValueError,
            "learned from encoder 'hashing-8', not from 'hidden_state",
        ),
        ({"draft": "two arms", "policy": "fit"}, ValueError, "there is no arm 'prompt_lookup_7'"),
        ({"draft": "arms", "policy": LinUCB()}, ValueError, "the policy knows no arms yet"),
    ],
)
def test_what_does_not_fit_together_is_refused(target, arms, options, error, message):
    given = {
        "arms": arms,
        "two arms": arms[:2],
        "fit": policy_for(arms, HiddenStateEncoder(target), "no_draft"),
        "hashing": policy_for(arms, HashingEncoder(8), "no_draft"),
    }
    chosen = {key: given[value] if isinstance(value, str) else value for key, value in options.items()}
    with pytest.raises(error, match=message):
        target.generate(PROMPT, **chosen)
