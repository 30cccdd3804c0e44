"""The tensors of a GGUF file of the Llama family under a checkpoint's names, rows in a checkpoint's order."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from speculative.models.config import DecoderConfig
from speculative.models.gguf_blocks import EXACT_KINDS, read_blocks
from speculative.models.gguf_config import ROPE_FACTORS
from speculative.models.gguf_file import GgufFile, GgufTensor
from speculative.models.weight_blocks import WeightBlocks

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
PROJECTIONS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NORMS = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
}
_OUTER = {
    "token_embd.weight": EMBEDDING,
    "output_norm.weight": "model.norm.weight",
    "output.weight": HEAD,
}
_FLOATS = ("F64", "F32", "F16", "BF16")
_SLAB = 2**22  # numbers that are turned to floats at once: 16 MiB


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """A GGUF tensor and what a checkpoint calls it.

    Attributes:
        name: in a checkpoint.
        stored: as it lies in the file.
        order: where each row of the checkpoint stands in the file; None for the same order.
    """

    name: str
    stored: GgufTensor
    order: torch.Tensor | None

    @property
    def is_projection(self) -> bool:
        """Whether it is the matrix of a layer's product."""
        return self.name.endswith("_proj.weight")

    @property
    def is_head(self) -> bool:
        """Whether it gives the logits."""
        return self.name == HEAD

    def slabs(self, dtype: torch.dtype) -> Iterator[torch.Tensor]:
        """Yield the rows, some at a time, (n, in); of a vector its one row.

        Raises:
            ValueError: if gguf does not know how to read the type.
        """
        if self.order is not None and len(self.stored.shape) == 1:
            yield torch.from_numpy(self.stored.dense())[0][self.order].to(dtype)
            return
        n_rows = len(self.stored.data)
        step = max(1, _SLAB // self.stored.shape[-1])
        order = np.arange(n_rows) if self.order is None else self.order.numpy()
        for begin in range(0, n_rows, step):
            yield torch.from_numpy(self.stored.dense(order[begin : begin + step])).to(dtype)

    def blocks(self, four_bits_only: bool = False) -> WeightBlocks:
        """Return the matrix in blocks: the file's own where it holds such, else rounded to them.

        Floats are rounded to 4 bits, those of the head and types of other forms than blocks to 8.

        Args:
            four_bits_only: round what has more bits, to 4.

        Raises:
            ValueError: if it must be rounded and its rows are no multiple of a block long.
        """
        if self.stored.kind in EXACT_KINDS:
            found = read_blocks(self.stored)
            if found.bits == 4 or not four_bits_only:
                return found if self.order is None else found[self.order]
        to_four = four_bits_only or (self.stored.kind in _FLOATS and not self.is_head)
        try:
            return WeightBlocks.stack(
                [WeightBlocks.quantise(slab, 4 if to_four else 8) for slab in self.slabs(torch.float32)]
            )
        except ValueError as error:
            raise ValueError(f"the tensor {self.name!r}: {error}; use weights='dense'") from error


def tensors_of(file: GgufFile, config: Mapping[str, Any]) -> list[SourceTensor]:
    """Return every tensor under its checkpoint name.

    llama.cpp stores the query and key rows of Llama checkpoints in another order (rotary halves side by side).

    Raises:
        ValueError: if the file holds a tensor that a model of its architecture does not have.
    """
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    turned = config["model_type"] == "llama"
    found = []
    for name, stored in file.tensors.items():
        if name == ROPE_FACTORS:  # `config_of` has read it
            continue
        place = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
        ours = _OUTER.get(name)
        if place is not None:
            part = PROJECTIONS.get(place[2]) or (_NORMS.get(place[2]) if place[3] == "weight" else None)
            ours = None if part is None else f"model.layers.{place[1]}.{part}.{place[3]}"
        if ours is None:
            raise ValueError(
                f"{file.path} holds the tensor {name!r}, which a {config['model_type']} model has no place for"
            )
        order = None
        if turned and place is not None and place[2] in heads:
            n_rows = stored.shape[0]
            if n_rows % (2 * heads[place[2]]):
                raise ValueError(
                    f"{file.path}: {name!r} must have two halves for each of {heads[place[2]]} heads, got {n_rows} rows"
                )
            order = _checkpoint_rows(n_rows, heads[place[2]])
        found.append(SourceTensor(ours, stored, order))
    return found


def check_complete(file: GgufFile, tensors: Sequence[SourceTensor], config: DecoderConfig) -> None:
    """Refuse a file that lacks a tensor of the model that it says it holds.

    Raises:
        ValueError: if it does.
    """
    held = {tensor.name for tensor in tensors}
    biased = {
        **dict.fromkeys(("attn_q", "attn_k", "attn_v"), config.qkv_bias),
        "attn_output": config.out_bias,
        **dict.fromkeys(("ffn_gate", "ffn_up", "ffn_down"), config.mlp_bias),
    }
    needed = [name for name in _OUTER.values() if name != HEAD or not config.tied_head]
    parts = [f"{part}.weight" for part in PROJECTIONS.values()]
    parts += [f"{PROJECTIONS[short]}.bias" for short, has_bias in biased.items() if has_bias]
    parts += [
        f"{norm}.weight" for short, norm in _NORMS.items() if config.head_norms or short in ("attn_norm", "ffn_norm")
    ]
    layers = (f"model.layers.{i}.{part}" for i in range(config.n_layers) for part in parts)
    missing = next((name for name in itertools.chain(needed, layers) if name not in held), None)
    if missing is not None:
        raise ValueError(f"{file.path} lacks the tensor {missing!r}, in a checkpoint's words; it is incomplete")


def _checkpoint_rows(n_rows: int, n_heads: int) -> torch.Tensor:
    """Where each row of a checkpoint's query or key projection stands in a GGUF file of a Llama model.

    Head by head, the file alternates rows of the first and of the second rotary half.

    Source: llama.cpp, `LlamaModel.permute` in its conversion script.
    """
    return torch.arange(n_rows).view(n_heads, -1, 2).transpose(1, 2).flatten()
