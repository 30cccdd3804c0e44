"""Products at 8 bits: exact where 8 bits hold the weights, and the same for a row in any company."""

import pytest
import torch

from speculative.models.int8_linear import Int8Linear
from speculative.models.weight_blocks import WeightBlocks

needs_vnni = pytest.mark.skipif(not Int8Linear.supported(), reason="this CPU has no 8-bit products without saturation")


@needs_vnni
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_eight_bits_are_exact_on_weights_that_eight_bits_hold(dtype):
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(-127, 128, (300, 96), generator=generator).float()
    levels[:, 0] = 127  # so that each row's scale is the one it was made with
    weight = levels * torch.rand(300, 1, generator=generator)
    x = (torch.randn(9, 96, generator=generator) * torch.logspace(-3, 3, 9)[:, None]).to(dtype)  # rows of any size
    x[4] = 0
    found, expected = Int8Linear(weight)(x), x.float() @ weight.T
    assert found.dtype == torch.float32
    tolerance = 1e-3 if dtype == torch.float32 else 0.02
    row = expected.abs().amax(1, keepdim=True)
    assert ((found.float() - expected).abs() <= tolerance * row).all()


@needs_vnni
def test_a_row_of_eight_bits_does_not_depend_on_the_rows_beside_it():
    generator = torch.Generator().manual_seed(0)
    linear = Int8Linear(torch.randn(200, 64, generator=generator))
    x = torch.randn(17, 64, generator=generator)
    whole = linear(x)
    for n in range(1, 17):
        assert torch.equal(torch.cat([linear(part) for part in x.split(n)]), whole)


@needs_vnni
def test_a_matrix_rounded_in_slabs_is_the_matrix():
    weight = torch.randn(2**15 + 1064, 32, generator=torch.Generator().manual_seed(5))
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(6))
    parts = [Int8Linear(part)(x) for part in (weight[: 2**15 + 1024], weight[2**15 + 1024 :])]
    assert torch.equal(Int8Linear(weight)(x), torch.cat(parts, dim=1))


@needs_vnni
def test_the_largest_results_of_blocks_are_those_of_the_blocks_and_the_rest_are_near():
    generator = torch.Generator().manual_seed(0)
    blocks = WeightBlocks.quantise(torch.randn(300, 64, generator=generator), 8)
    x = torch.randn(70, 64, generator=generator)
    found, exact = Int8Linear(blocks)(x), x @ blocks.dense().T
    best = exact.topk(Int8Linear.N_EXACT // 2).indices
    torch.testing.assert_close(found.gather(1, best), exact.gather(1, best), rtol=1e-5, atol=1e-5)
    assert (found - exact).norm() < 0.02 * exact.norm()
    for n in (1, 3, 64):
        assert torch.equal(torch.cat([Int8Linear(blocks)(part) for part in x.split(n)]), found)
