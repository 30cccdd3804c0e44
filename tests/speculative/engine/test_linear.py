import pytest
import torch
from torch.nn import functional

from speculative.engine.linear import Int4Linear, Linear


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_every_product_equals_its_formula(dtype, biased, n):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(24, 16, generator=generator).to(dtype)
    bias = torch.randn(24, generator=generator).to(dtype) if biased else None
    x, other = (torch.randn(n, size, generator=generator).to(dtype) for size in (16, 24))
    linear, plain = Linear(weight.clone(), bias), functional.linear(x, weight, bias)
    tolerance = {"atol": 0.2, "rtol": 0.05} if dtype == torch.bfloat16 else {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(linear(x), plain, **tolerance)
    torch.testing.assert_close(linear.multiply(x, other), plain * other, **tolerance)
    torch.testing.assert_close(linear.add(x, other), plain + other, **tolerance)


def test_a_transposed_weight_is_read_right():
    weight = torch.randn(16, 24, generator=torch.Generator().manual_seed(1)).T
    x = torch.ones(2, 16)
    torch.testing.assert_close(Linear(weight)(x), x @ weight.T)


@pytest.mark.parametrize("shape", [(64, 64), (40, 96), (7, 32)])
@pytest.mark.parametrize("biased", [False, True])
def test_four_bits_are_near_the_float_product_and_exact_on_sixteen_levels(shape, biased):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, shape[1], generator=generator).bfloat16().float()
    bias = torch.randn(shape[0], generator=generator) if biased else None
    weight = torch.randn(shape, generator=generator)
    plain = functional.linear(x, weight, bias)
    error = (Int4Linear(weight, bias)(x) - plain).norm() / plain.norm()
    assert error < 0.12
    levels = torch.randint(16, shape, generator=generator).float()
    levels[:, 0::32], levels[:, 1::32] = 0, 15  # the ends of each block's range
    exact = functional.linear(x, levels, bias)
    assert (Int4Linear(levels, bias)(x) - exact).abs().max() < 0.01 * exact.abs().max()


def test_a_row_of_four_bits_does_not_depend_on_the_rows_beside_it():
    generator = torch.Generator().manual_seed(0)
    linear = Int4Linear(torch.randn(48, 64, generator=generator))
    x = torch.randn(17, 64, generator=generator)
    whole = linear(x)
    for n in (1, 2, 3, 5, 8):
        assert torch.equal(torch.cat([linear(part) for part in x.split(n)]), whole)


def test_four_bits_fold_the_next_operation_in():
    linear, x = Int4Linear(torch.eye(32)), torch.ones(2, 32)
    assert torch.equal(linear.add(x, x), linear(x) + x)
    assert torch.equal(linear.multiply(x, 3 * x), linear(x) * 3)


def test_a_width_that_four_bits_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="multiple of 32, got cpu and 40"):
        Int4Linear(torch.ones(8, 40))
