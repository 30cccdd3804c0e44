import pytest
import torch

from speculative.models.weight_blocks import WeightBlocks, stack_rows


def test_rounding_to_blocks_is_off_by_half_a_level_and_keeps_sixteen_levels():
    weight = torch.randn(6, 64, generator=torch.Generator().manual_seed(1))
    weight[0, :32] = 0.5  # a block of one value
    blocks = WeightBlocks.quantise(weight)
    bound = 0.5001 * blocks.scales[..., None].expand(-1, -1, 32).flatten(1) + 1e-6
    assert ((blocks.dense() - weight).abs() <= bound).all()
    torch.testing.assert_close(WeightBlocks.quantise(blocks.dense()).dense(), blocks.dense(), atol=1e-6, rtol=0.0)
    with pytest.raises(ValueError, match="multiple of 32, got 40"):
        WeightBlocks.quantise(torch.ones(2, 40))
    with pytest.raises(ValueError, match="8-bit weights need in_features a multiple of 16, got 40"):
        WeightBlocks.quantise(torch.ones(2, 40), 8)


def test_rounding_to_eight_bits_is_off_by_half_a_level():
    weight = torch.randn(5000, 48, generator=torch.Generator().manual_seed(1))  # more than a slab of rows
    weight[0] = 0
    blocks = WeightBlocks.quantise(weight, 8)
    assert blocks.bits == 8
    assert ((blocks.dense() - weight).abs() <= 0.5001 * blocks.scales.repeat_interleave(16, 1)).all()


def test_rows_of_blocks_are_taken_and_stacked_as_those_of_their_matrix():
    generator = torch.Generator().manual_seed(2)
    first, second = torch.randn(5, 64, generator=generator), torch.randn(3, 64, generator=generator)
    blocks, rows = WeightBlocks.quantise(first), torch.tensor([4, 0, 2])
    assert len(blocks) == 5
    assert torch.equal(blocks[rows].dense(), blocks.dense()[rows])
    mixed = stack_rows([second, blocks])
    assert isinstance(mixed, WeightBlocks)
    assert torch.equal(mixed.dense(), torch.cat([WeightBlocks.quantise(second).dense(), blocks.dense()]))
    assert torch.equal(stack_rows([first, second]), torch.cat([first, second]))
