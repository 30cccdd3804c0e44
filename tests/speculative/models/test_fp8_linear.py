"""Products by 8-bit floats: exact where they hold the numbers, refused where the kernel has no shape for them."""

import pytest
import torch
from torch.nn import functional

from speculative.models.fp8_linear import Fp8Linear
from speculative.models.kernels.plan import SAFE_PLAN
from speculative.models.weight_blocks import WeightBlocks


def numbers_of_eight_bits(n_rows, n_columns, generator):
    """Rows of float8 numbers whose largest is the largest there is, times a power of two a row."""
    numbers = torch.randint(-8, 9, (n_rows, n_columns), generator=generator).float()
    numbers[:, 0] = 448
    return numbers * 2.0 ** (torch.arange(n_rows) - n_rows // 2)[:, None]


@pytest.mark.parametrize("biased", [False, True])
def test_numbers_that_eight_bits_hold_are_multiplied_as_they_are(biased):
    generator = torch.Generator().manual_seed(0)
    weight, x = numbers_of_eight_bits(32, 48, generator), numbers_of_eight_bits(5, 48, generator).bfloat16()
    bias = torch.randn(32, generator=generator).bfloat16() if biased else None
    found = Fp8Linear(weight, bias)(x)
    assert found.dtype == torch.bfloat16
    exact = functional.linear(x.float(), weight, None if bias is None else bias.float())
    torch.testing.assert_close(found.float(), exact, rtol=2**-7, atol=1e-3)


def test_random_products_are_a_few_per_cent_off_and_the_next_operation_is_folded_in():
    generator = torch.Generator().manual_seed(1)
    weight, x = torch.randn(64, 96, generator=generator), torch.randn(7, 96, generator=generator)
    x[3] = 0
    linear, exact, other = Fp8Linear(weight), x @ weight.T, torch.randn(7, 64, generator=generator)
    found = linear(x)
    assert 0.02 < (found - exact).norm() / exact.norm() < 0.05
    assert not found[3].any()
    assert torch.equal(linear.add(x, other), other + found)
    assert torch.equal(linear.multiply(x, other), other * found)
    gated = Fp8Linear.gated((weight, None), (-weight, None), SAFE_PLAN)(x)
    expected = (functional.silu(exact) * -exact).norm()
    assert (gated.float() + functional.silu(exact) * exact).norm() < 0.1 * expected


def test_not_a_number_stays_one():
    x = torch.ones(2, 16)
    x[1, 3] = torch.nan
    assert Fp8Linear(torch.ones(16, 16))(x).isnan().all(1).tolist() == [False, True]


def test_blocks_are_made_dense_and_sizes_that_the_kernel_does_not_take_are_refused():
    blocks = WeightBlocks.quantise(torch.randn(16, 32, generator=torch.Generator().manual_seed(2)))
    x = torch.ones(1, 32)
    assert torch.equal(Fp8Linear(blocks)(x), Fp8Linear(blocks.dense())(x))
    with pytest.raises(ValueError, match="FP8 weights need out_features a multiple of 16, got 24; use weights='dense'"):
        Fp8Linear(torch.ones(24, 32))
    with pytest.raises(ValueError, match="FP8 weights need in_features a multiple of 16, got 40"):
        Fp8Linear(torch.ones(16, 40))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize("shape", [(4096, 2048), (16, 32)])
@pytest.mark.parametrize("n", [1, 5, 70])
def test_on_cuda_products_are_the_cpus(shape, n):
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(shape, generator=generator), torch.randn(shape[0], generator=generator)
    x = torch.randn(n, shape[1], generator=generator).bfloat16()
    here = Fp8Linear(weight, bias)(x).float()
    there = Fp8Linear(weight.to("cuda"), bias.to("cuda"))(x.to("cuda")).cpu().float()
    assert (there - here).norm() < 0.01 * here.norm()
