import dataclasses

import pytest

from speculative.models.kernels.plan import SAFE_PLAN, FormSeconds, KernelPlan


def test_a_plan_comes_back_from_json_as_it_was():
    measured = (FormSeconds("float32 plain", (1, 4), (0.25, 0.5)),)
    plan = KernelPlan("packed_16", 4, None, "stepwise", "real", measured)
    assert KernelPlan.from_json(plan.to_json()) == plan
    assert KernelPlan.from_json(SAFE_PLAN.to_json()) == SAFE_PLAN


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '"text"', '{"measured": [{}]}', '{"measured": [], "packing": "tight"}']
)
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(ValueError, match="not a kernel plan"):
        KernelPlan.from_json(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"packing": "tight"}, "packing must be one of .*, got 'tight'"),
        ({"norm": "fast"}, "norm must be one of .*, got 'fast'"),
        ({"rotation": "left"}, "rotation must be one of .*, got 'left'"),
        ({"min_rows": 0}, "min_rows must be >= 1, got 0"),
        ({"wide_rows": 0}, "wide_rows must be >= 1, got 0"),
    ],
)
def test_an_unknown_form_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SAFE_PLAN, **change)


def test_the_summary_names_every_form():
    assert KernelPlan("plain", 4, None, "stepwise", "real").summary() == (
        "plain weights, passes of 4 rows and more, wide copies never, stepwise norms, real rotations"
    )
    assert "wide copies from 65 rows" in SAFE_PLAN.summary()
