"""The benchmark of products: its 8-bit product is a product, and it says what was meant to be reached."""

import runpy
from pathlib import Path

import pytest
import torch

from speculative.models.int8_linear import Int8Linear

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "benchmarks" / "bench_products.py"))


@pytest.mark.skipif(not Int8Linear.supported(), reason="this CPU has no 8-bit products without saturation")
def test_the_product_of_rounded_rows_is_near_the_product():
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(64, 32, generator=generator), torch.randn(3, 32, generator=generator)
    exact = x @ weight.T
    assert float((SCRIPT["rounded"](weight)(x) - exact).norm() / exact.norm()) < 0.02


def test_every_form_is_timed_at_one_row_and_at_eight(capsys):
    record = SCRIPT["main"](["--smoke", "--seconds", "0", "--threads", str(torch.get_num_threads())])
    assert {"int4", "bfloat16 plain"} <= set(record["milliseconds"])
    assert all({"1", "8"} <= set(row) for row in record["milliseconds"].values())
    assert all(bar["holds"] is (bar["value"] <= bar["bar"]) for bar in record["bars"])
