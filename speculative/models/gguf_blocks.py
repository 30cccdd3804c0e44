"""Read the 4-bit weights of GGUF files, types Q4_0 and Q4_1, and keep them on disk.

Blocks are taken over as they are: no weight is rounded again. llama.cpp stores the query and key rows of
Llama checkpoints in another order (rotary halves side by side); rows are put back before anything else sees them.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from speculative.models.weight_blocks import BLOCK, LEVELS, WeightBlocks

_PROJECTIONS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def read_gguf_blocks(file: Path, n_heads: int, n_kv_heads: int) -> dict[str, WeightBlocks]:
    """Return the projections that a GGUF file of a Llama-family model holds in Q4_0 or Q4_1, by checkpoint name.

    Tensors of other types are left out: the token embedding, and what K-quants keep in other blocks.

    Args:
        file: the GGUF file.
        n_heads: query heads.
        n_kv_heads: key heads.

    Raises:
        ValueError: if the file names no architecture.
    """
    from gguf import GGMLQuantizationType, GGUFReader

    reader = GGUFReader(file)
    field = reader.fields.get("general.architecture")
    if field is None:
        raise ValueError(f"{file} names no general.architecture; it is no complete model file")
    turned = str(field.contents()) == "llama"
    found: dict[str, WeightBlocks] = {}
    for tensor in reader.tensors:
        place = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", tensor.name)
        if place is None or place[2] not in _PROJECTIONS:
            continue
        if tensor.tensor_type == GGMLQuantizationType.Q4_1:
            blocks = _unpack(tensor.data, has_minimum=True)
        elif tensor.tensor_type == GGMLQuantizationType.Q4_0:
            blocks = _unpack(tensor.data, has_minimum=False)
        else:
            continue
        if turned and place[2] in ("attn_q", "attn_k"):
            blocks = blocks[_checkpoint_rows(len(blocks), n_heads if place[2] == "attn_q" else n_kv_heads)]
        found[f"model.layers.{place[1]}.{_PROJECTIONS[place[2]]}.weight"] = blocks
    return found


def save_blocks(blocks: Mapping[str, WeightBlocks], path: Path) -> None:
    """Write blocks as safetensors, two weights a byte and scales in float16, which is what GGUF files hold.

    Raises:
        ValueError: if a scale or minimum is no float16 number, as those of `WeightBlocks.quantise` are not.
    """
    tensors: dict[str, torch.Tensor] = {}
    for name, block in blocks.items():
        constants = torch.stack([block.scales, block.minimums])
        if not torch.equal(constants.half().float(), constants):
            raise ValueError(f"the blocks of {name} do not come from a GGUF file: their scales are no float16 numbers")
        tensors[f"{name}.levels"] = block.levels[:, 0::2] | block.levels[:, 1::2] << 4
        tensors[f"{name}.constants"] = constants.half()
    save_file(tensors, path, {"names": json.dumps(sorted(blocks))})


def load_blocks(path: Path) -> dict[str, WeightBlocks]:
    """Return what `save_blocks` wrote.

    Raises:
        ValueError: if the file is unreadable or truncated.
    """
    found: dict[str, WeightBlocks] = {}
    try:
        with safe_open(path, framework="pt") as tensors:
            for name in json.loads(tensors.metadata()["names"]):
                pairs = tensors.get_tensor(f"{name}.levels")
                levels = torch.stack([pairs & (LEVELS - 1), pairs >> 4], dim=-1).flatten(1)
                found[name] = WeightBlocks(levels, *tensors.get_tensor(f"{name}.constants").float())
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a readable file of 4-bit blocks: {error}; delete it") from error
    return found


def _unpack(data: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", has_minimum: bool) -> WeightBlocks:
    """Read (out, bytes) rows of blocks: float16 scale, float16 minimum (Q4_1), 16 bytes.

    A byte's low half is one of the block's first 16 weights, its high half one of the last 16. Q4_0 has no minimum:
    its levels stand for -8..7.

    Source: ggml, `block_q4_0` and `block_q4_1` in ggml-common.h.
    """
    n_constants = 2 if has_minimum else 1
    blocks = np.ascontiguousarray(data).reshape(len(data), -1, 2 * n_constants + BLOCK // 2)
    raw = np.ascontiguousarray(blocks[..., : 2 * n_constants]).view(np.float16)
    constants = torch.from_numpy(raw.astype(np.float32))  # (out, in / 32, n_constants)
    halves = torch.from_numpy(np.ascontiguousarray(blocks[..., 2 * n_constants :]))
    levels = torch.cat([halves & (LEVELS - 1), halves >> 4], dim=-1).flatten(1)
    scales = constants[..., 0].contiguous()
    minimums = constants[..., 1].contiguous() if has_minimum else -LEVELS // 2 * scales
    return WeightBlocks(levels, scales, minimums)


def _checkpoint_rows(n_rows: int, n_heads: int) -> torch.Tensor:
    """Where each row of a checkpoint's query or key projection stands in a GGUF file of a Llama model.

    Head by head, the file alternates rows of the first and of the second rotary half.

    Source: llama.cpp, `LlamaModel.permute` in its conversion script.
    """
    return torch.arange(n_rows).view(n_heads, -1, 2).transpose(1, 2).flatten()
