"""What is chosen from which seconds. Timers are fake: no choice here depends on the machine's speed."""

import dataclasses
import logging

import pytest
import torch

from speculative.models.kernels import products, settle
from speculative.models.kernels.choose import best_min_rows, fastest, first_wide_rows
from speculative.models.kernels.layer_shapes import LayerShapes
from speculative.models.kernels.plan import SAFE_PLAN, KernelPlan
from speculative.models.settings import ModelSettings

SHAPES = LayerShapes(((64, 32), (32, 32), (64, 32), (64, 32), (32, 64)), 2, 32, 4, 16)


class FakeTimer:
    """Seconds of a form at one row, and how much each further row adds; what is not named takes a second."""

    def __init__(self, **seconds):
        self.seconds, self.n_trials = {name.replace("_at_", " "): s for name, s in seconds.items()}, 0

    def __call__(self, trial):
        self.n_trials += 1
        trial.run()
        first, more = self.seconds.get(trial.form, (1.0, 0.0))
        return first + more * (trial.n_rows - 1)


@pytest.fixture(autouse=True)
def _on_any_processor(monkeypatch):
    """Everything is measured, and bfloat16 may be packed, whatever model and processor."""
    monkeypatch.setattr(settle, "MIN_WEIGHTS", 0)
    monkeypatch.setattr(settle, "can_pack", lambda weight: True)
    monkeypatch.setattr(products, "can_pack", lambda weight: True)
    monkeypatch.setattr(products, "Linear", lambda weight, plan: lambda x: x)
    monkeypatch.setattr(settle.WideInt4Linear, "supported", staticmethod(lambda: True))


@pytest.fixture
def settings(tmp_path):
    return ModelSettings(cache=tmp_path)


def test_the_fastest_packing_norm_and_rotation_are_taken(settings):
    timer = FakeTimer(float32_at_packed_16=(0.5, 0.0), stepwise=(0.5, 0.0), real=(0.5, 0.0))
    plan = settle.settle(SHAPES, settings, timer).kernels
    assert (plan.packing, plan.norm, plan.rotation, plan.min_rows) == ("packed_16", "stepwise", "real", 1)
    assert {"float32 plain", "float32 packed_4"} < {form.form for form in plan.measured}


def test_a_lead_that_may_be_noise_changes_nothing(settings):
    timer = FakeTimer(float32_at_packed_16=(0.98, 0.0), stepwise=(0.98, 0.0), real=(0.98, 0.0))
    plan = settle.settle(SHAPES, settings, timer).kernels
    assert dataclasses.replace(plan, measured=()) == SAFE_PLAN


@pytest.mark.parametrize(("half", "chosen"), [(0.5, torch.bfloat16), (0.98, torch.float32), (2.0, torch.float32)])
def test_auto_takes_the_faster_dtype(settings, half, chosen):
    timer = FakeTimer(**{f"bfloat16_at_{p}": (half, 0.0) for p in ("plain", "packed", "packed_4", "packed_16")})
    found = settle.settle(SHAPES, dataclasses.replace(settings, dtype="auto"), timer)
    assert (found.dtype, found.weights) == (chosen, "dense")


@pytest.mark.parametrize(("four_bits", "weights"), [(0.3, "int4_fast"), (0.98, "dense"), (3.0, "dense")])
def test_auto_takes_the_faster_weights(settings, four_bits, weights):
    found = settle.settle(SHAPES, dataclasses.replace(settings, weights="auto"), FakeTimer(int4=(four_bits, 0.0)))
    assert (found.dtype, found.weights) == (torch.float32, weights)


def test_a_copy_that_wins_at_no_width_that_was_timed_is_still_used_for_prompts(settings):
    settings = dataclasses.replace(settings, weights="int4_fast")
    assert settle.settle(SHAPES, settings, FakeTimer(int4=(0.1, 0.0))).kernels.wide_rows == SAFE_PLAN.wide_rows


def test_wide_passes_use_the_copy_from_the_stair_on_which_it_wins(settings):
    settings = dataclasses.replace(settings, weights="int4_fast")
    plan = settle.settle(SHAPES, settings, FakeTimer(int4=(0.1, 0.1))).kernels  # 0.8 s at 8 rows, 1.2 at 12
    assert plan.wide_rows == 9
    assert first_wide_rows({1: 1.0, 4: 1.0}, {1: 2.0, 4: 2.0}) is None
    assert first_wide_rows({1: 1.0, 4: 1.0}, {1: 0.5, 4: 0.5}) == 1


def test_narrow_passes_are_filled_up_where_that_takes_less():
    assert best_min_rows({1: 1.0, 2: 1.1, 4: 0.9, 8: 0.1}) == 4
    assert best_min_rows({1: 1.0, 2: 1.1, 4: 0.99}) == 1
    assert fastest({"a": 1.0, "b": 0.9}, "a") == "b"


def test_a_measurement_is_kept_for_its_shapes_and_choice(settings):
    timer = FakeTimer(float32_at_packed=(0.5, 0.0))
    first = settle.settle(SHAPES, settings, timer)
    n_trials = timer.n_trials
    assert settle.settle(SHAPES, settings, timer) == first
    assert timer.n_trials == n_trials
    settle.settle(dataclasses.replace(SHAPES, n_layers=3), settings, timer)
    settle.settle(SHAPES, dataclasses.replace(settings, dtype=torch.bfloat16), timer)
    assert timer.n_trials > 2 * n_trials
    assert len(list((settings.cache / "kernels").iterdir())) == 3


def test_a_kept_file_that_cannot_be_read_is_measured_anew_and_said(settings, caplog):
    first = settle.settle(SHAPES, settings, FakeTimer())
    [file] = (settings.cache / "kernels").iterdir()
    file.write_text(file.read_text()[:-20])
    with caplog.at_level(logging.WARNING):
        assert settle.settle(SHAPES, settings, FakeTimer()) == first
    assert f"{file} cannot be read" in caplog.text
    assert settle.settle(SHAPES, settings, lambda trial: pytest.fail("it was written again")) == first


def test_nothing_is_measured_where_all_is_said_or_measuring_is_off(settings, monkeypatch):
    def never(trial):
        pytest.fail("measured")

    given = dataclasses.replace(settings, kernels=KernelPlan(packing="plain"))
    assert settle.settle(SHAPES, given, never) == given
    safe = dataclasses.replace(settings, kernels="safe", dtype="auto", weights="auto")
    found = settle.settle(SHAPES, safe, never)
    assert (found.dtype, found.weights, found.kernels) == (torch.float32, "dense", SAFE_PLAN)
    monkeypatch.setattr(settle, "MIN_WEIGHTS", 10**9)
    assert settle.settle(SHAPES, settings, never).kernels == SAFE_PLAN


def test_a_given_plan_stays_where_dtype_and_weights_are_settled(settings):
    plan = KernelPlan(packing="plain")
    timer, settings = FakeTimer(), dataclasses.replace(settings, weights="auto")
    for _ in range(2):
        assert settle.settle(SHAPES, dataclasses.replace(settings, kernels=plan), timer).kernels == plan
    n_trials = timer.n_trials
    measured = settle.settle(SHAPES, settings, timer).kernels
    assert timer.n_trials == n_trials
    assert dataclasses.replace(measured, measured=()) == SAFE_PLAN
    assert measured.measured


@pytest.mark.parametrize("limited", ["can_pack", "WideInt4Linear", "Int8Linear"])
def test_what_onednn_or_the_processor_was_kept_from_is_measured_apart(settings, monkeypatch, limited):
    monkeypatch.setattr(settle.Int8Linear, "supported", staticmethod(lambda: True))
    settle.settle(SHAPES, settings, FakeTimer())
    if limited == "can_pack":
        monkeypatch.setattr(settle, limited, lambda weight: False)
    else:
        monkeypatch.setattr(getattr(settle, limited), "supported", staticmethod(lambda: False))
    timer = FakeTimer()
    settle.settle(SHAPES, settings, timer)
    assert timer.n_trials


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "half"}, "dtype must be a torch.dtype or 'auto'"),
        ({"kernels": "fast"}, "kernels must be 'measured'"),
        ({"graphs": "yes"}, "graphs must be one of .*'on'.*, got 'yes'"),
        ({"graphs": "on"}, "graphs must be 'auto' or 'off' on device 'cpu', which has none, got 'on'"),
    ],
)
def test_a_choice_of_another_name_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ModelSettings(**change)
    with pytest.raises(ValueError, match="load_model settles it"):
        _ = ModelSettings(dtype="auto").known_dtype
