import pytest
import torch
from safetensors.torch import save_file

from speculative.models.block_file import StoredBlocks, packed_parts
from speculative.models.weight_blocks import WeightBlocks


def blocks_of(seed, half):
    generator = torch.Generator().manual_seed(seed)
    rounded = WeightBlocks.quantise(torch.randn(4, 64, generator=generator))
    return WeightBlocks(rounded.levels, *(p.half().float() if half else p for p in rounded.parts[1:]))


@pytest.mark.parametrize("half", [True, False])
def test_saved_blocks_come_back_bit_for_bit_in_five_bits_a_weight_or_six(tmp_path, half):
    blocks = {"a.weight": blocks_of(0, half), "b.weight": blocks_of(1, half)}
    parts = [packed_parts(name, block) for name, block in blocks.items()]
    save_file(parts[0] | parts[1], tmp_path / "blocks.safetensors")
    found = StoredBlocks(tmp_path / "blocks.safetensors")
    assert (set(found), len(found)) == (set(blocks), 2)
    for name, block in blocks.items():
        for part, expected in zip(found[name].parts, block.parts, strict=True):
            assert torch.equal(part, expected)
    n_bytes = sum(tensor.nbytes for tensor in parts[0].values())
    assert n_bytes == 4 * 64 * (5 if half else 6) // 8


def test_bytes_come_back_bit_for_bit(tmp_path):
    block = WeightBlocks.quantise(torch.randn(4, 48, generator=torch.Generator().manual_seed(3)), 8)
    save_file(packed_parts("w", block), tmp_path / "blocks.safetensors")
    found = StoredBlocks(tmp_path / "blocks.safetensors")["w"]
    assert all(torch.equal(part, expected) for part, expected in zip(found.parts, block.parts, strict=True))


@pytest.mark.parametrize("cut", [1, 100, -100])
def test_a_truncated_file_of_blocks_is_named(tmp_path, cut):
    file = tmp_path / "blocks.safetensors"
    save_file(packed_parts("w", blocks_of(0, True)), file)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"blocks.safetensors is not a readable safetensors file.*; delete its folder"):
        StoredBlocks(file)


@pytest.mark.parametrize("change", ["dtype", "shape", "missing"])
def test_blocks_of_another_form_are_refused(tmp_path, change):
    parts = packed_parts("w", blocks_of(0, True))
    if change == "dtype":
        parts["w.levels"] = parts["w.levels"].float()
    elif change == "shape":
        parts["w.constants"] = parts["w.constants"][:, :, :1].contiguous()
    else:
        del parts["w.constants"]
    save_file(parts, tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match=r"b.safetensors is no file of weights in blocks: 'w' is damaged"):
        StoredBlocks(tmp_path / "b.safetensors")
