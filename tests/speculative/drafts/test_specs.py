"""What names a draft in a file: one registry, and a spec beside each class."""

import pytest

from speculative.drafts import DRAFTS, NoDraft, PromptLookup, SuffixDraft, read_draft_spec
from speculative.protocols.draft import Draft

NEEDED = {"draft_model": {"model": "owner/name"}, "early_exit": {"n_layers": 1}, "feature_head": {"model": "heads/own"}}


@pytest.mark.parametrize("kind", DRAFTS)
def test_every_kind_is_a_draft_whose_spec_has_that_kind(kind):
    assert issubclass(DRAFTS[kind], Draft)
    spec = read_draft_spec({"kind": kind, **NEEDED.get(kind, {})})
    assert type(spec) is DRAFTS[kind].Spec
    assert spec.kind == kind
    assert read_draft_spec(spec.model_dump()) == spec


def test_a_kind_without_settings_is_named_alone():
    assert isinstance(read_draft_spec("prompt_lookup").build(None), PromptLookup)
    assert isinstance(read_draft_spec("no_draft").build(None), NoDraft)


def test_specs_defaults_are_the_constructors():
    lookup = PromptLookup.Spec().build(None)
    assert (
        (lookup.name, lookup.max_ngram, lookup.min_ngram)
        == ("prompt_lookup", 4, 1)
        == (
            PromptLookup().name,
            PromptLookup().max_ngram,
            PromptLookup().min_ngram,
        )
    )
    suffix = SuffixDraft.Spec().build(None)
    assert (suffix.name, suffix.store.max_tokens, suffix.store.max_match) == ("suffix", 65_536, 16)


def test_other_settings_give_another_name():
    assert PromptLookup(3, min_ngram=2).name == "prompt_lookup_2to3"
    assert SuffixDraft.Spec(store_tokens=100, learn=True).build(None).name == "suffix_store_tokens_100_learn_True"
