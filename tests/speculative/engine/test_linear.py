import pytest
import torch
from torch.nn import functional

from speculative.engine.linear import Linear


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
