import gguf
import pytest
import torch

from speculative.models.gguf_blocks import load_blocks, read_gguf_blocks, save_blocks
from speculative.models.weight_blocks import WeightBlocks, stack_rows
from tests.support.gguf_files import N_HEADS, N_KV_HEADS, write_gguf


def read(path):
    return read_gguf_blocks(path, N_HEADS, N_KV_HEADS)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_blocks_are_the_weights_that_transformers_reads(tmp_path, kind, architecture):
    names = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    dense = write_gguf(tmp_path / "a.gguf", dict.fromkeys(names, kind), architecture)
    blocks = read(tmp_path / "a.gguf")
    assert set(blocks) == set(dense)
    for name, block in blocks.items():
        assert block.levels.max() <= 15
        torch.testing.assert_close(block.dense(), dense[name], atol=1e-6, rtol=0.0)


def test_tensors_of_other_types_are_left_out(tmp_path):
    write_gguf(tmp_path / "a.gguf", {"v_proj": "Q8_0", "down_proj": "F32"})
    names = {name.split(".")[-2] for name in read(tmp_path / "a.gguf")}
    assert names == {"q_proj", "k_proj", "o_proj", "gate_proj", "up_proj"}


def test_a_file_without_architecture_is_refused(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    del writer.kv_data[0]["general.architecture"]
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match=r"a.gguf names no general.architecture"):
        read(tmp_path / "a.gguf")


def test_saved_blocks_come_back_bit_for_bit_in_five_bits_a_weight(tmp_path):
    write_gguf(tmp_path / "a.gguf", {"up_proj": "Q4_0"})
    blocks = read(tmp_path / "a.gguf")
    save_blocks(blocks, tmp_path / "blocks.safetensors")
    found = load_blocks(tmp_path / "blocks.safetensors")
    assert set(found) == set(blocks)
    for name, block in blocks.items():
        for part in ("levels", "scales", "minimums"):
            assert torch.equal(getattr(found[name], part), getattr(block, part))
    n_weights = sum(block.levels.numel() for block in blocks.values())
    assert (tmp_path / "blocks.safetensors").stat().st_size < n_weights * 5 / 8 + 10_000


def test_a_model_without_blocks_is_saved_too(tmp_path):
    save_blocks({}, tmp_path / "blocks.safetensors")
    assert load_blocks(tmp_path / "blocks.safetensors") == {}


def test_blocks_that_float16_would_change_are_not_saved(tmp_path):
    rounded = WeightBlocks.quantise(torch.randn(4, 32, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(ValueError, match="the blocks of w do not come from a GGUF file"):
        save_blocks({"w": rounded}, tmp_path / "blocks.safetensors")


@pytest.mark.parametrize("cut", [1, 100, -100])
def test_a_truncated_file_of_blocks_is_named(tmp_path, cut):
    write_gguf(tmp_path / "a.gguf", {})
    file = tmp_path / "blocks.safetensors"
    save_blocks(read(tmp_path / "a.gguf"), file)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"blocks.safetensors is not a readable file of 4-bit blocks"):
        load_blocks(file)


def test_rounding_to_blocks_is_off_by_half_a_level_and_keeps_sixteen_levels():
    weight = torch.randn(6, 64, generator=torch.Generator().manual_seed(1))
    weight[0, :32] = 0.5  # a block of one value
    blocks = WeightBlocks.quantise(weight)
    bound = 0.5001 * blocks.scales[..., None].expand(-1, -1, 32).flatten(1) + 1e-6
    assert ((blocks.dense() - weight).abs() <= bound).all()
    torch.testing.assert_close(WeightBlocks.quantise(blocks.dense()).dense(), blocks.dense(), atol=1e-6, rtol=0.0)
    with pytest.raises(ValueError, match="multiple of 32, got 40"):
        WeightBlocks.quantise(torch.ones(2, 40))


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
