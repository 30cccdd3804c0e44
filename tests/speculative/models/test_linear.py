from typing import get_args

import pytest
import torch
from torch.nn import functional

from speculative.models.kernels.plan import SAFE_PLAN, KernelPlan, Packing
from speculative.models.linear import Float32Linear, Int4Linear, Linear, WideInt4Linear
from speculative.models.weight_blocks import WeightBlocks
from tests.support.card_kernels import int4_on_card
from tests.support.pretended_card import PretendedCard

PLAN = KernelPlan(wide_rows=20)


@pytest.mark.parametrize("packing", get_args(Packing))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_every_product_equals_its_formula_however_it_is_packed(packing, dtype, biased, n):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(24, 16, generator=generator).to(dtype)
    bias = torch.randn(24, generator=generator).to(dtype) if biased else None
    x, other = (torch.randn(n, size, generator=generator).to(dtype) for size in (16, 24))
    linear, plain = Linear(weight.clone(), bias, KernelPlan(packing)), functional.linear(x, weight, bias)
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


def random_blocks(n_out, n_in, generator):
    constants = [torch.rand(n_out, n_in // 32, generator=generator).half().float() for _ in range(2)]
    return WeightBlocks(torch.randint(16, (n_out, n_in), generator=generator).byte(), constants[0], -5 * constants[1])


@pytest.mark.parametrize("shape", [(64, 64), (40, 96), (7, 32)])
@pytest.mark.parametrize("biased", [False, True])
def test_blocks_are_multiplied_as_they_are_but_for_bfloat16_constants(shape, biased):
    generator = torch.Generator().manual_seed(3)
    blocks = random_blocks(*shape, generator)
    bias = torch.randn(shape[0], generator=generator) if biased else None
    x = torch.randn(9, shape[1], generator=generator).bfloat16().float()
    scale, middle = (part.bfloat16().float() for part in (blocks.scales, blocks.minimums + 8 * blocks.scales))
    weight = ((blocks.levels.view(shape[0], -1, 32) - 8.0) * scale[..., None] + middle[..., None]).flatten(1)
    found = Int4Linear(blocks, bias)(x)
    spread = x.abs() @ weight.abs().T  # what rounding errors are in proportion to
    assert ((found - functional.linear(x, weight, bias)).abs() <= 0.008 * (spread + 1)).all()
    assert (
        (weight - blocks.dense()).abs() <= 2**-8 * 8 * (scale + middle.abs())[..., None].expand(-1, -1, 32).flatten(1)
    ).all()
    assert torch.equal(Linear(blocks, bias)(x), Linear(blocks.dense(), bias)(x))


@pytest.mark.parametrize("shape", [(48, 64), (576, 576)])
def test_a_row_of_four_bits_does_not_depend_on_the_rows_beside_it(shape):
    generator = torch.Generator().manual_seed(0)
    linear = Int4Linear(torch.randn(shape, generator=generator), torch.randn(shape[0], generator=generator))
    x = torch.randn(17, shape[1], generator=generator)
    whole = linear(x)
    for n in range(1, 17):
        assert torch.equal(torch.cat([linear(part) for part in x.split(n)]), whole)


@pytest.mark.parametrize("kind", [Linear, Int4Linear])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("n", [1, 5])
def test_a_gated_product_equals_its_formula(kind, biased, n):
    generator = torch.Generator().manual_seed(0)
    gate, up = torch.randn(2, 40, 64, generator=generator)
    biases = torch.randn(2, 40, generator=generator) if biased else (None, None)
    x = torch.randn(n, 64, generator=generator)
    found = kind.gated((gate, biases[0]), (up, biases[1]), SAFE_PLAN)(x).float()
    expected = functional.silu(kind(gate, biases[0])(x)) * kind(up, biases[1])(x)
    tolerance = 1e-6 if kind is Linear else 0.02  # bfloat16 keeps 8 bits of each factor
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_four_bits_fold_the_next_operation_in():
    linear, x = Int4Linear(torch.eye(32)), torch.ones(2, 32)
    assert torch.equal(linear.add(x, x), linear(x) + x)
    assert torch.equal(linear.multiply(x, 3 * x), linear(x) * 3)
    for folded in (linear.add, linear.multiply):
        assert folded(x.half(), x.half()).dtype == torch.float16


def test_a_width_a_device_or_a_plan_that_four_bits_cannot_have_is_refused():
    with pytest.raises(ValueError, match="in_features a multiple of 32, got 40"):
        Int4Linear(torch.ones(8, 40))
    with pytest.raises(ValueError, match="4-bit weights need the CPU or a CUDA card, got meta"):
        Int4Linear(torch.ones(8, 32, device="meta"))
    with PretendedCard(), pytest.raises(ValueError, match=r"need out_features at most 524280, got 524288; use .*dense"):
        Int4Linear(torch.ones(1, 32, device="cuda").expand(2**19, 32))
    with pytest.raises(ValueError, match=r"wide_rows must be >= 1 for .*, got None; .* use Int4Linear"):
        WideInt4Linear(torch.ones(8, 32), plan=KernelPlan(wide_rows=None))


@pytest.mark.parametrize("biased", [False, True])
def test_only_wide_passes_use_the_copy_and_they_agree_with_the_kernel(biased):
    generator = torch.Generator().manual_seed(5)
    weight = torch.randn(48, 64, generator=generator)
    bias = torch.randn(48, generator=generator) if biased else None
    wide, narrow = WideInt4Linear(weight, bias, PLAN), Int4Linear(weight, bias)
    x = torch.randn(PLAN.wide_rows, 64, generator=generator)
    assert torch.equal(wide(x[:-1]), narrow(x[:-1]))
    exact = x.double() @ WeightBlocks.quantise(weight).dense().double().T
    exact = exact if bias is None else exact + bias
    for found in (wide(x), narrow(x)):
        assert (found - exact).norm() < 0.01 * exact.norm()
    assert not torch.equal(wide(x), narrow(x))
    gated = WideInt4Linear.gated((weight, None), (weight, None), PLAN)
    expected = Int4Linear.gated((weight, None), (weight, None), PLAN)(x).float()
    assert (gated(x).float() - expected).norm() < 0.02 * expected.norm()


class RowByRow(Linear):
    """Products computed one row at a time, so that only the activation can depend on the number of rows."""

    def __call__(self, x):
        return torch.cat([super(RowByRow, self).__call__(row[None]) for row in x])

    def multiply(self, x, other):
        return self(x) * other


@pytest.mark.parametrize("kind", [RowByRow, Int4Linear])
@pytest.mark.parametrize("size", [24, 40, 96])
def test_a_gated_row_computed_by_itself_is_the_same_in_any_company(kind, size):
    """Sizes that are no whole vectors: kernels compute the rest of their range by another formula."""
    generator = torch.Generator().manual_seed(0)
    gate, up = (torch.randn(size, 32, generator=generator) for _ in range(2))
    gated = kind.gated((gate, None), (up, None), SAFE_PLAN)
    x = torch.randn(64, 32, generator=generator)
    whole = gated(x, each_row=True)
    torch.testing.assert_close(whole, gated(x), atol=1e-2, rtol=1e-2)
    for n in (1, 2, 3, 5, 7, 31):
        assert torch.equal(torch.cat([gated(part, each_row=True) for part in x.split(n)]), whole)


def test_a_matrix_packed_in_slabs_is_the_matrix():
    weight = torch.randn(4096 + 40, 32, generator=torch.Generator().manual_seed(5))
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(6))
    whole, parts = Int4Linear(weight)(x), [Int4Linear(part)(x) for part in (weight[:4096], weight[4096:])]
    assert torch.equal(whole, torch.cat(parts, dim=1))


def test_gate_and_up_are_one_product_on_a_card_and_give_the_cpus_results():
    generator = torch.Generator().manual_seed(3)
    gate, up = ((torch.randn(12, 8, generator=generator), torch.randn(12, generator=generator)) for _ in range(2))
    x = torch.randn(3, 8, generator=generator)
    here = Linear.gated(gate, up, SAFE_PLAN)(x)
    with PretendedCard() as card:
        on_card = [tuple(part.to("cuda") for part in pair) for pair in (gate, up)]
        gated = Linear.gated(*on_card, SAFE_PLAN)
        card.counted()
        there = gated(x.to("cuda")).cpu()
        assert len(card.counted().kernels) == 3  # the product, silu, and their product
    torch.testing.assert_close(there, here)


@pytest.mark.parametrize(("n_out", "n_in", "bits"), [(48, 64, 4), (9, 32, 4), (40, 96, 4), (24, 256, 4), (24, 48, 8)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_card_multiplies_by_the_same_four_bit_weights_as_the_cpu(n_out, n_in, bits, dtype):
    generator = torch.Generator().manual_seed(0)
    blocks = WeightBlocks.quantise(torch.randn(n_out, n_in, generator=generator), bits)
    bias = torch.randn(n_out, generator=generator)
    x = torch.cat([torch.eye(n_in), torch.randn(5, n_in, generator=generator)]).to(dtype)
    here = Int4Linear(blocks)(x), Int4Linear(blocks, bias)(x)
    with int4_on_card(), PretendedCard() as card:
        linears = [Int4Linear(blocks.to(torch.device("cuda")), b) for b in (None, bias.to("cuda"))]
        given = x.to("cuda")
        card.counted()
        there = [linear(given).cpu() for linear in linears]
        assert card.counted().kernels.count("_weight_int4pack_mm") == 2
    if bits == 4:
        assert torch.equal(there[0][:n_in], here[0][:n_in])  # a row of the unit matrix: the weights, bit by bit
    for found, expected in zip(there, here, strict=True):
        assert found.dtype == dtype
        torch.testing.assert_close(found, expected, atol=0.07, rtol=2**-7)


def test_gate_and_up_in_four_bits_are_one_product_on_a_card_and_narrow_passes_read_no_copy():
    generator = torch.Generator().manual_seed(3)
    gate, up = ((torch.randn(12, 32, generator=generator), None) for _ in range(2))
    x = torch.randn(PLAN.wide_rows, 32, generator=generator).bfloat16()
    here = WideInt4Linear.gated(gate, up, PLAN)
    with int4_on_card(), PretendedCard() as card:
        there = WideInt4Linear.gated(*[(weight.to("cuda"), None) for weight, _ in (gate, up)], PLAN)
        given = x.to("cuda")
        card.counted()
        for rows, product in ((given, "mm"), (given[:-1], "_weight_int4pack_mm")):
            found = there(rows).cpu()
            assert [name for name in card.counted().kernels if "mm" in name] == [product]
            torch.testing.assert_close(found, here(x[: len(rows)]), atol=0.1, rtol=0.02)


@pytest.mark.parametrize(("dtype", "kernels"), [(torch.float16, ["mm"]), (torch.float64, ["_to_copy", "mm"])])
def test_a_cards_product_into_float32_is_given_half_precision_alone(dtype, kernels):
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(n, 32, generator=generator).to(dtype) for n in (24, 3))
    with PretendedCard() as card:
        head, given = Float32Linear(weight.to("cuda")), x.to("cuda")
        card.counted()
        there = head(given)
        assert card.counted().kernels == kernels
        there = there.cpu()
    torch.testing.assert_close(there, functional.linear(x.float(), weight.float()))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
@pytest.mark.parametrize(("n_out", "n_in", "bits"), [(4096, 2048, 4), (576, 1536, 8), (9, 32, 4)])
def test_on_cuda_products_in_four_bits_are_the_cpus(n_out, n_in, bits):
    generator = torch.Generator().manual_seed(0)
    blocks = WeightBlocks.quantise(torch.randn(n_out, n_in, generator=generator), bits)
    x = torch.randn(7, n_in, generator=generator).bfloat16()
    here, there = Int4Linear(blocks)(x).float(), Int4Linear(blocks.to(torch.device("cuda")))(x.to("cuda")).cpu().float()
    assert (there - here).norm() < 0.01 * here.norm()
