"""What names a selector: one registry, and a spec beside each class, with arms by name."""

import pytest

from speculative.drafts import NoDraft, PromptLookup
from speculative.protocols.selector import Selector
from speculative.selectors import SELECTORS, MetaSD, PriorityRule, UCBSpec, read_selector_spec
from speculative.testing import check_selector
from tests.support.tiny_models import Arm

ARMS = [Arm(NoDraft(), 0), Arm(PromptLookup(), 3), Arm(PromptLookup(), 7)]
SETTINGS = {
    "acceptance_gate": {"arm": "prompt_lookup_7", "plain": "no_draft_0", "window_size": 3, "threshold": 0.5},
    "fixed": {"arm": "prompt_lookup_7"},
    "priority_rule": {"min_match_lengths": {"prompt_lookup_7": 4, "prompt_lookup_3": 1}, "fallback": "no_draft_0"},
}


@pytest.mark.parametrize("kind", SELECTORS)
def test_every_kind_is_a_selector_whose_spec_has_that_kind(kind):
    assert issubclass(SELECTORS[kind], Selector)
    spec = read_selector_spec({"kind": kind, **SETTINGS.get(kind, {})})
    assert type(spec) is SELECTORS[kind].Spec
    assert spec.kind == kind
    assert type(spec.build(ARMS)) is SELECTORS[kind]
    check_selector(spec.build(ARMS), len(ARMS))


def test_the_rules_take_the_longest_draft_length_from_the_arms():
    assert MetaSD.Spec().build(ARMS).max_draft_length == 7
    assert UCBSpec.Spec().build(ARMS[:1]).max_draft_length == 1


def test_an_arm_that_is_not_there_is_named():
    rule = PriorityRule.Spec(min_match_lengths={"suffix_3": 1}, fallback="no_draft_0")
    with pytest.raises(ValueError, match="no arm is named 'suffix_3'; there are no_draft_0, prompt_lookup_3"):
        rule.build(ARMS)


def test_an_unknown_kind_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="unknown selector 'oracle'; there are fixed, priority_rule, meta_sd"):
        read_selector_spec("oracle")
