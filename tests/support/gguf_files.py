"""Tiny GGUF files with 4-bit weights, written by the gguf package and read by transformers' rules."""

from pathlib import Path

import gguf
import torch
from safetensors.torch import load_file, save_file
from transformers.modeling_gguf_pytorch_utils import LlamaTensorProcessor

from tests.support.tiny_models import save_tiny

N_HEADS, N_KV_HEADS = 4, 2
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_KINDS = {kind.name: kind for kind in gguf.GGMLQuantizationType}


def write_gguf(path: Path, kinds: dict[str, str], architecture: str = "llama") -> dict[str, torch.Tensor]:
    """Write random projections of two layers, and return what transformers makes of them, by checkpoint name.

    Args:
        path: the file.
        kinds: GGUF type of a projection by its last name (`q_proj`); `Q4_1` where none is named.
        architecture: `llama`, whose rows the format keeps in another order, or another.
    """
    generator = torch.Generator().manual_seed(0)
    writer = gguf.GGUFWriter(path, architecture)
    reader = LlamaTensorProcessor({"num_attention_heads": N_HEADS, "num_key_value_heads": N_KV_HEADS})
    dense = {}
    for layer in range(2):
        for name, short in _NAMES.items():
            n_out = {"k_proj": 32, "v_proj": 32}.get(name.split(".")[1], 64)
            kind = _KINDS[kinds.get(name.split(".")[1], "Q4_1")]
            stored = gguf.quantize(torch.randn(n_out, 64, generator=generator).numpy(), kind)
            writer.add_tensor(f"blk.{layer}.{short}.weight", stored, raw_dtype=kind)
            plain = gguf.dequantize(stored, kind)
            if architecture == "llama":
                plain = reader.process(plain, f"blk.{layer}.{short}.weight").weights
            dense[f"model.layers.{layer}.{name}.weight"] = torch.from_numpy(plain.copy())
    embedding = gguf.quantize(torch.randn(24, 64, generator=generator).numpy(), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("token_embd.weight", embedding, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return dense


def save_dense(folder: Path, dense: dict[str, torch.Tensor]) -> None:
    """A checkpoint of the same sizes with these projections; transformers' own conversion needs a whole tokenizer."""
    save_tiny("llama", folder, hidden_size=64, intermediate_size=64, num_attention_heads=N_HEADS)
    file = folder / "model.safetensors"
    save_file(load_file(file) | dense, file)
