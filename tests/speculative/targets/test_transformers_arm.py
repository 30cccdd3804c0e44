"""An arm of transformers' own `generate` gives one text whatever drafts, and an agent can choose among such arms."""

import copy

import pytest
from tiny_model import save_tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from arms import Query
from arms.testing import check_arm
from bandits import Agent, DecisionLog, HashingEncoder, LinTS
from rewards import SecondsPerToken
from speculative.targets import TransformersArm

QUERIES = [Query(id=f"q{i}", prompt=text, max_new_tokens=9) for i, text in enumerate(["the cat sat on", "one two one"])]


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    folder = save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def arms(held):
    model, tokenizer = held
    return [
        TransformersArm(model, tokenizer),
        TransformersArm(model, tokenizer, prompt_lookup_num_tokens=3),
        TransformersArm(model, tokenizer, assistant_model=model),
    ]


def test_each_arm_keeps_the_contract_and_all_give_one_text(arms):
    assert [arm.name for arm in arms] == ["no_draft", "prompt_lookup_3", "assistant"]
    for arm in arms:
        check_arm(arm, QUERIES)
    for query in QUERIES:
        seen = [arm.pull(query, seed=0) for arm in arms]
        assert len({one.text for one in seen}) == 1
        assert all(one.n_tokens <= 9 and one.seconds > 0 for one in seen)


def test_arms_that_differ_have_other_fingerprints(held, arms):
    assert len({arm.fingerprint() for arm in arms}) == 3
    assert TransformersArm(*held, name="plain").fingerprint() == arms[0].fingerprint()


def test_other_generation_settings_of_the_model_make_another_fingerprint(held, arms, monkeypatch):
    before = arms[0].fingerprint()
    for name, value in (("repetition_penalty", 1.3), ("eos_token_id", 5)):
        with monkeypatch.context() as patch:
            patch.setattr(held[0].generation_config, name, value)
            assert arms[0].fingerprint() != before
    assert arms[0].fingerprint() == before


def test_how_an_assistant_drafts_is_in_the_fingerprint_and_what_it_has_adapted_is_not(held, monkeypatch):
    assistant = copy.deepcopy(held[0])
    arm = TransformersArm(*held, assistant_model=assistant)
    before = arm.fingerprint()
    monkeypatch.setattr(assistant.generation_config, "num_assistant_tokens", 9)
    assert arm.fingerprint() == before
    monkeypatch.setattr(assistant.generation_config, "assistant_confidence_threshold", 0.7)
    assert arm.fingerprint() != before


def test_an_agent_chooses_among_them(tmp_path, arms):
    with DecisionLog(tmp_path / "log") as log:
        policy = LinTS(arm_names=[arm.name for arm in arms])
        agent = Agent(policy, HashingEncoder(8), log, arms=arms, reward=SecondsPerToken(10.0))
        assert all(agent.answer(query).n_tokens for query in QUERIES)
        assert not log.open_queries


def test_two_drafts_in_one_arm_and_lengths_below_one_are_refused(held):
    model, tokenizer = held
    with pytest.raises(ValueError, match="one draft"):
        TransformersArm(model, tokenizer, assistant_model=model, prompt_lookup_num_tokens=3)
    with pytest.raises(ValueError, match="prompt_lookup_num_tokens must be an integer >= 1, got 0"):
        TransformersArm(model, tokenizer, prompt_lookup_num_tokens=0)
    with pytest.raises(ValueError, match="max_new_tokens must be an integer >= 1, got 0"):
        TransformersArm(model, tokenizer, max_new_tokens=0)
