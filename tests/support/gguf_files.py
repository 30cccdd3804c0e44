"""Tiny whole GGUF files, written by the gguf package, with the checkpoint that they must become."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import pre_tokenizers

N_HEADS, N_KV_HEADS, N_LAYERS = 4, 2, 2
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
TOKENS = [*ALPHABET, "th", "<|end|>", "<|turn|>", "<think>"]  # bytes, one merge, two control tokens, one of a user
END, TURN, THINK = (TOKENS.index(token) for token in TOKENS[-3:])
PROJECTIONS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_KINDS = {kind.name: kind for kind in gguf.GGMLQuantizationType}
_K_QUANTS = {
    "Q2_K": (84, (80, 82)),
    "Q4_K": (144, (0, 2)),
    "Q5_K": (176, (0, 2)),
    "Q6_K": (210, (208,)),
}  # bytes of 256 weights, and where their float16 factors lie


@dataclass
class GgufModel:
    """What to write; `write` gives the file, `checkpoint` the folder of the same model as transformers keeps it.

    Attributes:
        kinds: GGUF type of a projection by its last name (`q_proj`); `Q4_1` where none is named.
        architecture: `llama`, whose rows the format keeps in another order, or `qwen2`, `qwen3`.
        width: features, of heads, layers and feed-forward alike.
        metadata: keys to set or (None) to leave out, beside the usual ones.
        config: what the checkpoint's configuration says besides.
        extra: tensors to add, by their name in the file.
        without: names in the file to leave out.
        tied: whether there is no head.
    """

    kinds: Mapping[str, str] = field(default_factory=dict)
    architecture: str = "llama"
    width: int = 64
    metadata: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    tied: bool = False

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self.dense: dict[str, torch.Tensor] = {}
        self._stored: list[tuple[str, np.ndarray, gguf.GGMLQuantizationType]] = []
        self._make()

    def write(self, path: Path, only: Callable[[str], bool] = lambda name: True, **metadata: Any) -> Path:
        """Write the file, or the part of it that holds the tensors that `only` takes."""
        writer = gguf.GGUFWriter(path, self.architecture)
        said = self._said() | {f"{self.architecture}.{k}" if "." not in k else k: v for k, v in metadata.items()}
        for key, value in (said | dict(self.metadata)).items():
            _add(writer, key, value)
        for name, data, kind in self._stored:
            if only(name) and name not in self.without:
                writer.add_tensor(name, data, raw_dtype=kind)
        for name, data in self.extra.items():
            if only(name):
                writer.add_tensor(name, data)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def write_parts(self, folder: Path, n_parts: int = 2) -> list[Path]:
        """Write the file in parts, every n-th tensor in each."""
        names = [name for name, _, _ in self._stored]
        counts = {"split.count": n_parts, "split.tensors.count": len(names)}
        return [
            self.write(
                folder / f"m-{i + 1:05d}-of-{n_parts:05d}.gguf",
                lambda name, i=i: names.index(name) % n_parts == i,
                **counts,
                **{"split.no": i},
            )
            for i in range(n_parts)
        ]

    def checkpoint(self, folder: Path) -> Path:
        """Write the model as a checkpoint folder."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.dense, folder / "model.safetensors", {"format": "pt"})
        config = {
            "model_type": self.architecture,
            "vocab_size": len(TOKENS),
            "hidden_size": self.width,
            "intermediate_size": self.width,
            "num_hidden_layers": N_LAYERS,
            "num_attention_heads": N_HEADS,
            "num_key_value_heads": N_KV_HEADS,
            "head_dim": self.width // N_HEADS,
            "max_position_embeddings": 256,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10_000.0,
            "tie_word_embeddings": self.tied,
        }
        (folder / "config.json").write_text(json.dumps(config | dict(self.config)))
        return folder

    def _said(self) -> dict[str, Any]:
        own = {
            "context_length": 256,
            "embedding_length": self.width,
            "block_count": N_LAYERS,
            "feed_forward_length": self.width,
            "attention.head_count": N_HEADS,
            "attention.head_count_kv": N_KV_HEADS,
            "attention.layer_norm_rms_epsilon": 1e-5,
            "rope.freq_base": 10_000.0,
            "rope.dimension_count": self.width // N_HEADS,
            "vocab_size": len(TOKENS),
        }
        tokenizer = {
            "model": "gpt2",
            "pre": "gpt-2",
            "tokens": TOKENS,
            "token_type": [1] * (len(TOKENS) - 3) + [3, 3, 4],
            "merges": ["t h"],
            "eos_token_id": END,
            "add_bos_token": False,
        }
        own = {f"{self.architecture}.{key}": value for key, value in own.items()}
        return own | {f"tokenizer.ggml.{key}": value for key, value in tokenizer.items()}

    def _make(self) -> None:
        head = self.width // N_HEADS
        self._add("token_embd.weight", "model.embed_tokens.weight", (len(TOKENS), self.width), "F32")
        for i in range(N_LAYERS):
            for name, short in PROJECTIONS.items():
                last = name.split(".")[1]
                n_heads = {"q_proj": N_HEADS, "k_proj": N_KV_HEADS}.get(last, 0)
                n_out = {"q_proj": N_HEADS, "k_proj": N_KV_HEADS, "v_proj": N_KV_HEADS}.get(
                    last, 0
                ) * head or self.width
                ours, theirs = f"model.layers.{i}.{name}", f"blk.{i}.{short}"
                self._add(
                    f"{theirs}.weight", f"{ours}.weight", (n_out, self.width), self.kinds.get(last, "Q4_1"), n_heads
                )
                if self.architecture == "qwen2" and short in ("attn_q", "attn_k", "attn_v"):
                    self._add(f"{theirs}.bias", f"{ours}.bias", (n_out,), "F32")
            for short, name in (("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")):
                self._add(f"blk.{i}.{short}.weight", f"model.layers.{i}.{name}.weight", (self.width,), "F32")
            if self.architecture == "qwen3":
                for name in ("q_norm", "k_norm"):
                    self._add(
                        f"blk.{i}.attn_{name}.weight", f"model.layers.{i}.self_attn.{name}.weight", (head,), "F32"
                    )
        self._add("output_norm.weight", "model.norm.weight", (self.width,), "F32")
        if not self.tied:
            self._add("output.weight", "lm_head.weight", (len(TOKENS), self.width), "Q8_0")

    def _add(self, theirs: str, ours: str, shape: tuple[int, ...], kind: str, n_heads: int = 0) -> None:
        """Make a random tensor, keep what the file holds and what a checkpoint does."""
        numbers = (self._rng.standard_normal(shape) * 0.2 + ("norm" in ours)).astype(np.float32)
        if kind in _K_QUANTS:
            stored = self._random_blocks(shape, *_K_QUANTS[kind])
        else:
            stored = gguf.quantize(numbers, _KINDS[kind])
        self._stored.append((theirs, stored, _KINDS[kind]))
        plain = gguf.dequantize(stored, _KINDS[kind]).reshape(shape)
        if n_heads and self.architecture == "llama":  # the format alternates rows of the two rotary halves
            plain = plain.reshape(n_heads, -1, 2, shape[-1]).swapaxes(1, 2).reshape(shape)
        self.dense[ours] = torch.from_numpy(plain.copy())

    def _random_blocks(self, shape: tuple[int, ...], n_bytes: int, factors: tuple[int, ...]) -> np.ndarray:
        blocks = self._rng.integers(0, 256, (shape[0] * shape[1] // 256, n_bytes), dtype=np.uint8)
        for at in factors:
            halves = self._rng.uniform(2e-4, 9e-4, (len(blocks), 1)).astype(np.float16)
            blocks[:, at : at + 2] = halves.view(np.uint8)
        return blocks.reshape(shape[0], -1)


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)
