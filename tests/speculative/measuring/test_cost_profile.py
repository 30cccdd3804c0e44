"""What a pass costs: interpolation, break-even, faults."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.measuring.cost_profile import CostProfile, DraftCost
from tests.support.tiny_models import bounded
from tests.support.tiny_pool import plain_costs


def test_interpolation_and_beyond_the_grid():
    costs = plain_costs("draft")
    assert costs.verify_s(3, 64) == pytest.approx(1.2)
    assert costs.verify_s(3, 96) == pytest.approx(1.3)
    assert costs.verify_s(5, 10) == costs.verify_s(5, 64)
    assert costs.verify_s(5, 4000) == costs.verify_s(5, 128)
    assert costs.verify_s(18, 64) == pytest.approx(2 * costs.verify_s(9, 64))  # the last rate goes on
    assert costs.prefill_s(1) == pytest.approx(1.0)
    assert costs.prefill_s(64) == pytest.approx(2 * costs.prefill_s(32))
    assert costs.draft_s("draft", 4, 10) == pytest.approx(0.01 + 0.4 + 0.01)
    with pytest.raises(ValueError, match=r"draft 'other' is not in the cost profile \(drafts: \['draft'\]\)"):
        costs.draft_s("other", 1)


@bounded(max_examples=60)
@given(acceptance=st.floats(0.01, 0.99), draft_length=st.integers(1, 8))
def test_break_even_inverts_the_closed_form(acceptance, draft_length):
    """A round that costs (1 - a^(g+1)) / (1 - a) plain steps breaks even at a."""
    tokens = (1 - acceptance ** (draft_length + 1)) / (1 - acceptance)
    cost = DraftCost(round_s=tokens - 1, token_s=0.0, read_s=0.0)
    flat = dataclasses.replace(plain_costs(), verify_grid=((1.0,) * 3,) * 2, drafts={"draft": cost})
    assert flat.break_even("draft", draft_length) == pytest.approx(acceptance, abs=1e-6)


@pytest.mark.parametrize(
    ("round_s", "share", "words"),
    [
        (0.5, 0.5, "prompt_lookup at draft length 1 pays once each token is accepted with probability 50%"),
        (1.5, math.inf, "cannot pay"),
        (0.0, 0.0, "costs nothing"),
    ],
)
def test_conclusion_says_whether_drafting_pays(round_s, share, words):
    drafts = {"prompt_lookup": DraftCost(round_s, 0.0, 0.0)}
    flat = dataclasses.replace(plain_costs(), verify_grid=((1.0,) * 3,) * 2, drafts=drafts)
    assert flat.break_even("prompt_lookup", 1) == pytest.approx(share)
    assert words in flat.conclusion("prompt_lookup", 1)


def test_noise_and_one_token_slower_than_two_are_faults():
    sound = plain_costs("draft")
    assert sound.faults() == []
    assert "its noise is 40% of a median" in dataclasses.replace(sound, spread=0.4).faults()[0]
    slow = dataclasses.replace(sound, verify_grid=((1.34, 0.92, 1.5), (1.0, 1.1, 1.2)))
    [fault] = slow.faults()
    assert fault.startswith("a pass over 1 token(s) took 1.34e+03 ms and one over 5 only 920 ms, at 64 cached")
    assert "a median had to move by 40%" in dataclasses.replace(sound, correction=0.4).faults()[0]
    assert "speed changed by 30%" in dataclasses.replace(sound, drift=0.3).faults()[0]
    assert dataclasses.replace(sound, correction=0.1, drift=0.1).faults() == []
    within = dataclasses.replace(slow, spread=0.3, verify_grid=((1.1, 1.0, 1.5), (1.0, 1.1, 1.2)))
    assert within.faults() == []


def test_json_round_trip():
    costs = plain_costs("one", "two")
    assert CostProfile.from_json(costs.to_json()) == costs


def test_a_profile_of_an_earlier_version_is_read_with_what_it_did_not_know_unknown():
    costs = plain_costs("one")
    raw = json.loads(costs.to_json())
    for name in ("machine", "threads", "noise_grid", "correction", "drift"):
        del raw[name]
    assert CostProfile.from_json(json.dumps(raw)) == costs


@pytest.mark.parametrize("text", ["", "[]", "{}", '"text"', '{"drafts": {"a": {"x": 1}}}'])
def test_json_that_is_no_profile_is_refused(text):
    with pytest.raises(ValueError, match="not a cost profile"):
        CostProfile.from_json(text)
