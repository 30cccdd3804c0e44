import math

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
