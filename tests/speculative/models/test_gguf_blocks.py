"""The weights of a quantised GGUF file reach the 4-bit products as the file has them."""

import pytest
import torch
from safetensors.torch import load_file

from speculative.models.block_file import StoredBlocks
from speculative.models.gguf_blocks import EXACT_KINDS
from speculative.models.gguf_conversion import convert_gguf
from speculative.models.linear import Int4Linear
from speculative.models.loading import load_decoder
from speculative.models.settings import ModelSettings
from speculative.models.weight_blocks import WeightBlocks
from speculative.models.weight_files import BLOCKS_FILE
from speculative.protocols.token_batch import TokenBatch
from tests.support.gguf_files import TOKENS, GgufModel

AT_FOUR = ("Q4_0", "Q4_1", "Q4_K")


def blocks_of(model, folder, weights="int4"):
    """Convert a model and give its blocks with the folder that holds them."""
    settings = ModelSettings(cache=folder / "cache", weights=weights)
    converted = convert_gguf(model.write(folder / "m.gguf"), settings)
    return StoredBlocks(converted / BLOCKS_FILE), converted


@pytest.mark.parametrize("kind", EXACT_KINDS)
def test_every_kind_of_block_is_read_bit_for_bit_at_its_own_bits(tmp_path, kind):
    model = GgufModel({"q_proj": kind, "down_proj": kind}, width=256)
    blocks, _ = blocks_of(model, tmp_path)
    for name, block in blocks.items():
        if "q_proj" in name or "down_proj" in name:
            assert block.bits == (4 if kind in AT_FOUR else 8)
            assert torch.equal(block.dense(), model.dense[name])


def test_the_head_keeps_its_bits_and_floats_are_rounded_once(tmp_path):
    model = GgufModel({"up_proj": "F16", "down_proj": "Q2_K", "v_proj": "BF16"}, width=256)
    blocks, folder = blocks_of(model, tmp_path)
    assert len(blocks) == 2 * 7 + 1
    assert torch.equal(blocks["lm_head.weight"].dense(), model.dense["lm_head.weight"])
    for name, block in blocks.items():
        if "up_proj" in name or "v_proj" in name:
            assert torch.equal(block.dense(), WeightBlocks.quantise(model.dense[name]).dense())
        if "down_proj" in name:  # no form of blocks that the product has: 8 bits are near
            assert (block.dense() - model.dense[name]).norm() < 0.01 * model.dense[name].norm()
    assert not any(
        name.endswith(("_proj.weight", "lm_head.weight")) for name in load_file(folder / "model.safetensors")
    )


def test_a_tied_head_is_kept_beside_the_embedding(tmp_path):
    model = GgufModel(tied=True)
    blocks, folder = blocks_of(model, tmp_path)
    held = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    assert torch.equal(held, model.dense["model.embed_tokens.weight"])
    assert (blocks["lm_head.weight"].dense() - held).norm() < 0.01 * held.norm()


def test_all_at_four_bits_is_another_form_and_the_rest_share_one(tmp_path):
    model = GgufModel({"q_proj": "Q4_K", "down_proj": "Q6_K"}, width=256)
    _, folder = blocks_of(model, tmp_path)
    assert blocks_of(model, tmp_path, "int4_fast")[1] == folder
    least, other = blocks_of(model, tmp_path, "int4_all")
    assert other != folder
    assert {block.bits for block in least.values()} == {4}
    assert torch.equal(
        least["model.layers.0.self_attn.q_proj.weight"].dense(), model.dense["model.layers.0.self_attn.q_proj.weight"]
    )
    tokens = torch.arange(9)
    exact = load_decoder(str(model.checkpoint(tmp_path / "dense")))
    expected = exact.forward(TokenBatch(tokens, [9]), exact.new_cache(1)).logits
    errors = []
    for weights in ("int4", "int4_fast", "int4_all"):
        near = load_decoder(str(tmp_path / "m.gguf"), ModelSettings(cache=tmp_path / "cache", weights=weights))
        logits = near.forward(TokenBatch(tokens, [9]), near.new_cache(1)).logits
        errors.append(float((logits - expected).norm() / expected.norm()))
    assert errors[0] < 0.03
    assert errors[1] < 0.03
    assert errors[2] > 2 * errors[0]


def test_weights_that_blocks_cannot_hold_are_refused_by_the_tensor(tmp_path):
    names = (f"{part}_proj" for part in ("q", "k", "v", "o", "gate", "up", "down"))
    model = GgufModel(dict.fromkeys(names, "F32"), width=40, tied=True)
    with pytest.raises(ValueError, match=r"m.gguf: the tensor '.*': 4-bit weights need in_features a multiple of 32"):
        blocks_of(model, tmp_path)


@pytest.mark.parametrize("kind", EXACT_KINDS)
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_a_product_with_blocks_is_off_by_its_rounded_constants_only(tmp_path, kind, shift):
    model = GgufModel({"down_proj": kind}, width=256)
    blocks, _ = blocks_of(model, tmp_path)
    block = blocks["model.layers.0.mlp.down_proj.weight"]
    x = (torch.randn(6, 256, generator=torch.Generator().manual_seed(0)) + shift).bfloat16().float()
    found, exact = Int4Linear(block)(x), x @ block.dense().T
    assert (found - exact).norm() < 0.006 * exact.norm()
    assert torch.equal(torch.cat([Int4Linear(block)(part) for part in x.split(1)]), found)


def test_rows_of_four_and_eight_bits_stack_to_eight_without_a_change(tmp_path):
    model = GgufModel({"q_proj": "Q4_K", "v_proj": "Q6_K"}, width=256)
    blocks, _ = blocks_of(model, tmp_path)
    parts = [blocks[f"model.layers.0.self_attn.{name}.weight"] for name in ("q_proj", "k_proj", "v_proj")]
    both = WeightBlocks.stack(parts)
    assert both.bits == 8
    assert torch.equal(both.dense(), torch.cat([part.dense() for part in parts]))
    assert len(TOKENS) == len(blocks["lm_head.weight"])
