import math
import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from speculative.sampling.sampling_params import SamplingParams


def test_defaults_are_greedy_and_change_nothing():
    params = SamplingParams()
    assert params.greedy
    assert (params.top_k, params.top_p, params.min_p, params.repetition_penalty) == (0, 1.0, 0.0, 1.0)
    assert (params.verification, params.seed) == ("coupling", None)


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.0},
        {"temperature": 1e-300},
        {"top_k": 0},
        {"top_k": 10**9},
        {"top_p": 1e-9},
        {"top_p": 1},
        {"min_p": 0},
        {"min_p": 1.0},
        {"repetition_penalty": 0.5},
        {"verification": "rejection"},
        {"seed": 0},
        {"seed": 2**63 - 1},
        {"presence_penalty": -2},
        {"frequency_penalty": 2.0},
        {"min_new_tokens": 7},
        {"logprobs": 0},
        {"max_new_tokens": 1},
        {"stop": ("a", "b")},
    ],
)
def test_values_at_the_edges_are_taken(changes):
    params = SamplingParams(**changes)
    assert all(getattr(params, name) == value for name, value in changes.items())
    assert params.greedy == (params.temperature == 0)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("temperature", -0.1, "finite and >= 0"),
        ("temperature", math.nan, "finite and >= 0"),
        ("temperature", math.inf, "finite and >= 0"),
        ("top_k", -1, ">= 0"),
        ("max_new_tokens", 0, ">= 1"),
        ("top_p", 0.0, "in (0, 1]"),
        ("top_p", 1.0001, "in (0, 1]"),
        ("top_p", math.nan, "in (0, 1]"),
        ("min_p", -1e-9, "in [0, 1]"),
        ("min_p", 1.1, "in [0, 1]"),
        ("min_p", math.nan, "in [0, 1]"),
        ("repetition_penalty", 0.0, "finite and > 0"),
        ("repetition_penalty", -1.0, "finite and > 0"),
        ("repetition_penalty", math.inf, "finite and > 0"),
        ("repetition_penalty", math.nan, "finite and > 0"),
        ("verification", "match", "one of ('coupling', 'rejection')"),
        ("seed", -1, "in [0, 2**63)"),
        ("presence_penalty", 2.1, "in [-2, 2]"),
        ("frequency_penalty", math.nan, "in [-2, 2]"),
        ("min_new_tokens", -1, ">= 0"),
        ("logprobs", -1, ">= 0, or None"),
        ("seed", 2**63, "in [0, 2**63)"),
    ],
)
def test_values_out_of_range_are_refused_with_rule_and_value(name, value, rule):
    with pytest.raises(ValueError) as caught:
        SamplingParams(**{name: value})
    assert str(caught.value).startswith(f"{name} must be {rule}")
    assert str(caught.value).endswith(f"got {value!r}")


@pytest.mark.parametrize(("name", "value"), [("top_k", 1.5), ("top_k", True), ("top_k", None), ("seed", 1.0)])
def test_counts_and_seeds_that_are_no_ints_are_refused(name, value):
    with pytest.raises(TypeError, match=rf"{name} must be an int.*, got {value!r}"):
        SamplingParams(**{name: value})


@pytest.mark.parametrize("name", ["temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty"])
@pytest.mark.parametrize("value", [None, "0.9", True, [1.0], object])
def test_what_is_no_number_is_rejected_by_name(name, value):
    with pytest.raises(TypeError, match=rf"{name} must be a number .*, got {re.escape(repr(value))}"):
        SamplingParams(**{name: value})


def test_numbers_of_other_libraries_are_numbers():
    assert SamplingParams(np.float32(0.5), top_p=1).temperature == 0.5


def test_numbers_of_every_kind_are_kept_as_floats():
    params = SamplingParams(
        Decimal("0.75"), top_p=Fraction(1, 2), min_p=np.float64(0.25), repetition_penalty=2, logit_bias={3: Decimal(1)}
    )
    assert params == SamplingParams(0.75, top_p=0.5, min_p=0.25, repetition_penalty=2.0, logit_bias={3: 1.0})
    kept = (params.temperature, params.top_p, params.min_p, params.repetition_penalty, params.logit_bias[0][1])
    assert {type(value) for value in kept} == {float}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"logit_bias": {1: "x"}}, TypeError, "logit_bias must map token ids, ints, to numbers, got 1: 'x'"),
        ({"logit_bias": {"1": 1.0}}, TypeError, "logit_bias must map token ids, ints, to numbers, got '1': 1.0"),
        ({"logit_bias": 3}, TypeError, "logit_bias must map token ids to numbers, got 3"),
        ({"logit_bias": {-1: 1.0}}, ValueError, "logit_bias must give ids >= 0 a number finite in float32, or -inf"),
        ({"logit_bias": {1: math.inf}}, ValueError, "a number finite in float32, or -inf, got 1: inf"),
        ({"logit_bias": {1: math.nan}}, ValueError, "a number finite in float32, or -inf, got 1: nan"),
        ({"logit_bias": {1: 1e300}}, ValueError, "a number finite in float32, or -inf, got 1: 1e+300"),
        ({"logit_bias": {1: -1e39}}, ValueError, "a number finite in float32, or -inf, got 1: -1e+39"),
        ({"logit_bias": {1: 10**400}}, ValueError, "a number finite in float32, or -inf, got 1: 10000"),
        ({"logit_bias": {1: np.ones(2)}}, TypeError, "logit_bias must map token ids, ints, to numbers, got 1: array"),
        ({"logit_bias": [()]}, TypeError, "logit_bias must map token ids to numbers, got [()]"),
        ({"temperature": 10**400}, TypeError, "temperature must be a number finite and >= 0, got 1000"),
        ({"temperature": Decimal("1e-400")}, ValueError, "temperature must be finite and >= 0, got Decimal('1E-400')"),
        ({"logit_bias": [(1, 1.0), (1, 2.0)]}, ValueError, "logit_bias must name each token id once"),
        ({"bad_words": "ab"}, TypeError, "bad_words must be sequences of token ids, ints, got ('a',)"),
        ({"bad_words": [1]}, TypeError, "bad_words must be sequences of token ids, got [1]"),
        ({"bad_words": [[1.0]]}, TypeError, "bad_words must be sequences of token ids, ints, got (1.0,)"),
        ({"bad_words": [[]]}, ValueError, "bad_words must be sequences of one or more ids >= 0, got ()"),
        ({"bad_words": [[-1]]}, ValueError, "bad_words must be sequences of one or more ids >= 0, got (-1,)"),
        ({"logits_processors": [len]}, TypeError, "logits_processors must be a sequence of LogitsProcessor, got [<"),
        ({"logprobs": 1.0}, TypeError, "logprobs must be an int or None, got 1.0"),
        ({"min_new_tokens": None}, TypeError, "min_new_tokens must be an int, got None"),
    ],
)
def test_controls_that_break_their_rule_are_rejected_with_it(changes, error, message):
    with pytest.raises(error, match=re.escape(message)):
        SamplingParams(**changes)


def test_controls_are_kept_as_a_frozen_record():
    params = SamplingParams(1.0, logit_bias={5: 1, 2: -math.inf}, bad_words=[[1, 2], (3,)])
    assert (params.logit_bias, params.bad_words) == (((2, -math.inf), (5, 1.0)), ((1, 2), (3,)))
    assert hash(params) == hash(replace(params))
    assert params.named_ids == (2, 5, 1, 2, 3)
    assert params.controlled
    assert params.without_controls() == SamplingParams(1.0)
    assert not SamplingParams(0.5, top_k=3, logprobs=2).controlled


def test_stop_strings_that_would_end_every_text_or_no_text_are_refused():
    assert SamplingParams(stop=["a", "b"]) == SamplingParams(stop=("a", "b"))
    with pytest.raises(ValueError, match=r"at least one character, got '' among \['b', ''\]"):
        SamplingParams(stop=("b", ""))
    with pytest.raises(TypeError, match=r"must be a sequence of strings, got the string 'end'; write \('end',\)"):
        SamplingParams(stop="end")
    for wrong in ((1,), None, 3):
        with pytest.raises(TypeError, match="stop must be a sequence of strings, got"):
            SamplingParams(stop=wrong)
