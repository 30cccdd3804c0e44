"""Heads of random weights in the forms in which they are published, and the plainest computation of each."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.support.tiny_models import N_VOCAB

SIZES = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "vocab_size": N_VOCAB,
}
KNOWN = [1, 2, 3, 5, 8, 10, 11, 19, 23]  # the target's ids that a trimmed head knows
FORMS = ("eagle", "eagle_bias", "eagle_pickled", "eagle3", "eagle3_full", "speculators_eagle", "speculators_eagle3")


@dataclass
class SavedHead:
    """A head on disk, and what is needed to compute it by hand."""

    folder: Path
    is_eagle3: bool
    weights: dict[str, torch.Tensor]  # by the names of `FeatureHeadModel`
    layers: tuple[int, ...]
    config: dict[str, Any] = field(default_factory=dict)
    known: list[int] | None = None


def save_head(form: str, folder: Path, seed: int = 0, n_vocab: int = N_VOCAB, **changes: Any) -> SavedHead:
    """Write a head of random weights for a tiny target of 2 layers and 16 features; changes are of its config.json."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int, scale: float = 0.3) -> torch.Tensor:
        return scale * torch.randn(*shape, generator=generator)

    def gain() -> torch.Tensor:
        return 1 + random(16)

    is_eagle3, is_speculators = "eagle3" in form, form.startswith("speculators")
    known = None if not is_eagle3 or form == "eagle3_full" else [token for token in KNOWN if token < n_vocab]
    width, sizes = 32 if is_eagle3 else 16, {**SIZES, "vocab_size": n_vocab}
    weights = {
        "fc.weight": random(16, 32),
        "layer.self_attn.q_proj.weight": random(16, width),
        "layer.self_attn.k_proj.weight": random(8, width),
        "layer.self_attn.v_proj.weight": random(8, width),
        "layer.self_attn.o_proj.weight": random(16, 16),
        "layer.mlp.gate_proj.weight": random(20, 16),
        "layer.mlp.up_proj.weight": random(20, 16),
        "layer.mlp.down_proj.weight": random(16, 20),
        "layer.post_attention_layernorm.weight": gain(),
    }
    if "bias" in form:
        weights["fc.bias"] = random(16)
    config: dict[str, Any] = {**sizes, "eagle_aux_hidden_state_layer_ids": [0, 1]} if is_eagle3 else dict(sizes)
    extra: dict[str, torch.Tensor] = {}
    if is_eagle3:
        n_known = n_vocab if known is None else len(known)
        weights |= {"layer.input_layernorm.weight": gain(), "layer.hidden_norm.weight": gain(), "norm.weight": gain()}
        weights |= {"lm_head.weight": random(n_known, 16, scale=1.0)}
        config |= {"draft_vocab_size": n_known}
    if known is not None:
        marks = torch.zeros(n_vocab, dtype=torch.bool)
        marks[known] = True
        extra = {"d2t": torch.tensor(known) - torch.arange(len(known)), "t2d": marks}
    if is_speculators:
        if is_eagle3:
            weights["embed_tokens.weight"] = random(n_vocab, 16)
        own = ("eagle_aux_hidden_state_layer_ids", "draft_vocab_size")
        config = {
            "speculators_model_type": "eagle3" if is_eagle3 else "eagle",
            "transformer_layer_config": {name: value for name, value in config.items() if name not in own},
            **{name: config[name] for name in own if name in config},
            "norm_before_residual": True,
        }
    config |= changes
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    stored = {published(form, name): tensor for name, tensor in weights.items()} | extra
    if form == "eagle_pickled":
        torch.save(stored, folder / "pytorch_model.bin")
    else:
        save_file({name: tensor.contiguous() for name, tensor in stored.items()}, folder / "model.safetensors")
    return SavedHead(folder, is_eagle3, weights, (0, 1) if is_eagle3 else (-1,), config, known)


def published(form: str, name: str) -> str:
    """What a form calls a tensor."""
    if form == "speculators_eagle":
        return name.replace("layer.", "transformer.", 1).replace("fc.", "fusion_fc.", 1)
    layer = "midlayer." if form.startswith("eagle3") else "layers.0."
    return layer + name.removeprefix("layer.") if name.startswith("layer.") else name


def foretold(head: SavedHead, target: Any, prefix: list[int], n: int) -> tuple[list[int], list[torch.Tensor]]:
    """The head's best tokens after a prefix and the logits of each: whole sequences, a position and a head at a time.

    Args:
        target: transformers' model, whose states are read.
    """
    with torch.inference_mode():
        output = target(torch.tensor([prefix]), output_hidden_states=True, use_cache=False)
        states = [output.hidden_states[layer][0] for layer in head.layers]
        rows = [torch.cat([state[i] for state in states]) for i in range(len(prefix) - 1)]
        if head.is_eagle3:
            rows = [head.weights["fc.weight"] @ row for row in rows]
        embedding = head.weights.get("embed_tokens.weight", target.get_input_embeddings().weight)
        tokens, found, logits = list(prefix[1:]), [], []
        for _ in range(n):
            last = _layer(head, rows, [embedding[token] for token in tokens])
            if head.is_eagle3:
                logits.append(head.weights["lm_head.weight"] @ _norm(last, head.weights["norm.weight"]))
            else:
                logits.append(target.get_output_embeddings().weight @ last)
            best = int(logits[-1].argmax())
            found.append(best if head.known is None else head.known[best])
            rows, tokens = [*rows, last], [*tokens, found[-1]]
    return found, logits


def _norm(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    return x / (x.square().mean() + 1e-5).sqrt() * gain


def _layer(head: SavedHead, rows: list[torch.Tensor], embedded: list[torch.Tensor]) -> torch.Tensor:
    """What the layer makes of the last of these pairs."""
    w = head.weights
    attention = {name: w[f"layer.self_attn.{name}_proj.weight"] for name in "qkvo"}
    inside, around = [], rows
    for row, token in zip(rows, embedded, strict=True):
        if head.is_eagle3:
            normed = _norm(row, w["layer.hidden_norm.weight"])
            inside.append(torch.cat([_norm(token, w["layer.input_layernorm.weight"]), normed]))
        else:
            inside.append(w["fc.weight"] @ torch.cat([token, row]) + w.get("fc.bias", torch.zeros(16)))
    if not head.is_eagle3:
        around = inside
    elif head.config.get("norm_before_residual"):
        around = [_norm(row, w["layer.hidden_norm.weight"]) for row in rows]
    last, mixed = len(inside) - 1, []
    for h in range(4):
        q = _rotated((attention["q"] @ inside[last])[4 * h : 4 * h + 4], last)
        own = slice(4 * (h // 2), 4 * (h // 2) + 4)
        scores = [float(q @ _rotated((attention["k"] @ x)[own], i)) / 2.0 for i, x in enumerate(inside)]
        shares = torch.tensor(scores).softmax(0)
        mixed.append(sum(share * (attention["v"] @ x)[own] for share, x in zip(shares, inside, strict=True)))
    x = around[last] + attention["o"] @ torch.cat(mixed)
    h = _norm(x, w["layer.post_attention_layernorm.weight"])
    gate = w["layer.mlp.gate_proj.weight"] @ h
    return x + w["layer.mlp.down_proj.weight"] @ (gate * gate.sigmoid() * (w["layer.mlp.up_proj.weight"] @ h))


def _rotated(x: torch.Tensor, position: int) -> torch.Tensor:
    """Rotate two pairs of features, (0, 2) and (1, 3), by angles that grow with the position."""
    out = x.clone()
    for pair, angle in enumerate((position, position * 10000.0**-0.5)):
        a, b = x[pair], x[pair + 2]
        out[pair], out[pair + 2] = a * math.cos(angle) - b * math.sin(angle), b * math.cos(angle) + a * math.sin(angle)
    return out
