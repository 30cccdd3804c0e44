"""A head that foretells the target's next states from its last ones: EAGLE's and EAGLE-3's single layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, NamedTuple

import torch

from speculative.models.attention import Apart, AttentionPlan, attend, places
from speculative.models.checkpoint import Checkpoint
from speculative.models.config import DecoderConfig, inverse_frequencies
from speculative.models.decoder import Decoder
from speculative.models.fingerprint import model_fingerprint
from speculative.models.kernels.norm import NORMS
from speculative.models.kernels.plan import KernelPlan
from speculative.models.linear import Linear
from speculative.protocols.kv_cache import CacheShape, KVCache
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.pinned import without_waiting


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """What a head is made of.

    Attributes:
        layer: sizes of its one layer; its vocabulary is what the head knows.
        form: "eagle": a joint projection before the layer, the target's own head after it; "eagle3": embedding and
            state enter the attention side by side, each normalised, and the head is the checkpoint's own.
        state_layers: which states of the target it reads, see `StateRows`.
        norm_before_residual: whether the state that is passed around the attention is the normalised one ("eagle3").
        target_ids: the target's id of each id that the head knows; None where they are the same.
    """

    layer: DecoderConfig
    form: Literal["eagle", "eagle3"]
    state_layers: tuple[int, ...]
    norm_before_residual: bool = False
    target_ids: tuple[int, ...] | None = None


class HeadOutput(NamedTuple):
    """Result of one pass: (b, v) float logits and (b, d) states of each row's last token; states feed the next pass."""

    logits: torch.Tensor
    state: torch.Tensor


class FeatureHeadModel:
    """Reads pairs of a state and the token after it, and foretells the next state and so the next token.

        "eagle":   x = fc([embedding, state]);  y = layer(x);  logits = target's head(y)
        "eagle3":  x = fc(states of three layers), or the last y;  y = layer(norm(embedding), norm(x));
                   logits = head(norm(y))

    Args:
        config: sizes and form.
        weights: tensors by name: `fc`, `layer.self_attn.q_proj` and so on, and for "eagle3" `norm` and `lm_head`;
            `embed_tokens` where it has an embedding of its own.
        target: gives the embedding, in "eagle" form the head, and in which arithmetic it is computed.

    Raises:
        ValueError: if a tensor is missing, unknown, damaged, or of another shape than `config` and the target say.

    Source: Li et al. 2024, "EAGLE" (arXiv:2401.15077); Li et al. 2025, "EAGLE-3" (arXiv:2503.01840).
    """

    def __init__(self, config: HeadConfig, weights: Mapping[str, torch.Tensor], target: Decoder) -> None:
        layer, self.dtype, self.device = config.layer, target.dtype, target.device
        d, n_states = layer.n_features, len(config.state_layers) * target.n_features
        self.config, self._is_eagle3, self._eps = config, config.form == "eagle3", layer.rms_norm_eps
        self._normalise = NORMS[target.plan.norm]
        _check_computable(config, target)
        checkpoint = Checkpoint(weights, {}, self.device, self.dtype)
        read = _Matrices(checkpoint, target.plan)
        self._embedding = target.embedding
        if "embed_tokens.weight" in checkpoint:
            self._embedding = checkpoint.tensor("embed_tokens.weight", (target.n_vocab, d))
        if self._embedding.shape[1] != d:
            raise ValueError(
                f"its states have {d} features and it has no embedding, the target's has {target.n_features}"
            )
        self._join = read.linear("fc", (d, n_states + (0 if self._is_eagle3 else d)), "fc.bias" in checkpoint)
        self._qkv = read.qkv(layer, d * (1 + self._is_eagle3))
        self._out = read.linear("layer.self_attn.o_proj", (d, layer.n_heads * layer.head_dim), layer.out_bias)
        gate, up = (read.weight(f"layer.mlp.{name}_proj", (layer.n_intermediate, d)) for name in ("gate", "up"))
        self._gated = Linear.gated((gate, None), (up, None), target.plan)
        self._down = read.linear("layer.mlp.down_proj", (d, layer.n_intermediate))
        self._mlp_norm = read.weight("layer.post_attention_layernorm", (d,))
        names = ("layer.input_layernorm", "layer.hidden_norm", "norm") if self._is_eagle3 else ()
        self._norms = {name: read.weight(name, (d,)) for name in names}
        self._head = read.linear("lm_head", (layer.n_vocab, d)) if self._is_eagle3 else target.head
        checkpoint.check_all_used()
        angles = torch.outer(torch.arange(layer.max_positions).float(), inverse_frequencies(layer))
        self._cos, self._sin = (f(angles).to(self.device, self.dtype)[:, None] for f in (torch.cos, torch.sin))
        digests = checkpoint.digests.items()
        self._fingerprint = model_fingerprint(f"{config} {self.dtype} {target.fingerprint()}", digests)

    def fingerprint(self) -> str:
        """Return a digest of the head and of its target."""
        return self._fingerprint

    @property
    def max_positions(self) -> int:
        """Longest text that it was made for, pairs of state and token."""
        return self.config.layer.max_positions

    def new_cache(self, n_rows: int = 1, capacity: int = 512) -> KVCache:
        """Make an empty cache."""
        layer = self.config.layer
        shape = CacheShape(1, n_rows, layer.n_kv_heads, layer.head_dim)
        return KVCache(shape, capacity=capacity, dtype=self.dtype, device=self.device)

    @torch.inference_mode()
    def read(self, states: torch.Tensor, batch: TokenBatch, cache: KVCache) -> HeadOutput:
        """Append pairs of the target's (n, layers * d) states and the tokens after them to rows of the cache."""
        return self._forward(self._join(states) if self._is_eagle3 else states, batch, cache)

    @torch.inference_mode()
    def go_on(self, states: torch.Tensor, batch: TokenBatch, cache: KVCache) -> HeadOutput:
        """Append foretold (b, d) states and the draft token after each, one a row."""
        return self._forward(states, batch, cache)

    def _forward(self, states: torch.Tensor, batch: TokenBatch, cache: KVCache) -> HeadOutput:
        embedded = self._embedding[batch.token_ids]
        if self._is_eagle3:
            normed = self._norm(states, "layer.hidden_norm")
            around = normed if self.config.norm_before_residual else states
            inside = torch.cat([self._norm(embedded, "layer.input_layernorm"), normed], dim=1)
        else:
            around = inside = self._join(torch.cat([embedded, states], dim=1))
        x = self._out.add(self._attend(inside, batch, cache), _last(around, batch))
        h = self._normalise(x, self._mlp_norm, self._eps)
        x = self._down.add(self._gated(h, False), x)
        return HeadOutput(self._head(self._norm(x, "norm") if self._is_eagle3 else x).float(), x)

    def _attend(self, x: torch.Tensor, batch: TokenBatch, cache: KVCache) -> torch.Tensor:
        """Append the keys and values of (n, 1 or 2 d) states; attend for each row's last one, which sees them all."""
        layer, starts = self.config.layer, [cache.lengths[row] for row in batch.rows]
        ends = [start + count for start, count in zip(starts, batch.counts, strict=True)]
        n_rotated, n_groups = layer.n_heads + layer.n_kv_heads, layer.n_heads // layer.n_kv_heads
        cache.reserve(max(ends))
        positions, slots = places(batch, starts)
        heads = self._qkv(x).view(len(x), -1, layer.head_dim)
        cos, sin = self._cos[positions], self._sin[positions]
        one, other = heads[:, :n_rotated].chunk(2, dim=-1)
        rotated = torch.cat([one * cos - other * sin, other * cos + one * sin], dim=-1)
        slots.write(cache.keys[0], rotated[:, layer.n_heads :])
        slots.write(cache.values[0], heads[:, n_rotated:])
        for row, end in zip(batch.rows, ends, strict=True):
            cache.lengths[row] = end
        queries = _last(rotated[:, : layer.n_heads], batch)
        apart: Apart = "rows" if self.device.type == "cpu" else "none"
        of_last = TokenBatch.in_rows(batch.token_ids[: len(ends)], [1] * len(ends), batch.rows)
        plan = AttentionPlan(of_last, [end - 1 for end in ends], n_groups, self.dtype, apart)
        return attend(queries, cache.keys[0], cache.values[0], plan)

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return self._normalise(x, self._norms[name], self._eps)


def _last(x: torch.Tensor, batch: TokenBatch) -> torch.Tensor:
    """Return what belongs to each row's last token, (b, ...) of (n, ...)."""
    if len(batch.counts) == 1:
        return x[-1:]
    if len(x) == len(batch.counts):
        return x
    ends = torch.tensor([end - 1 for end in accumulate(batch.counts)])
    return x[without_waiting(ends, x.device)]


def _check_computable(config: HeadConfig, target: Decoder) -> None:
    """Refuse what is not computed here, and a head in "eagle" form whose states are not the target's."""
    layer = config.layer
    if layer.head_norms or layer.mlp_bias:
        raise ValueError("its layer has normalised heads or biases in the feed-forward, which is not computed")
    if config.form == "eagle" and layer.n_features != target.n_features:
        raise ValueError(
            f"its states have {layer.n_features} features, the target's last ones have {target.n_features}"
        )
    if config.form == "eagle" and layer.n_vocab != target.n_vocab:
        raise ValueError(f"it uses the target's head of {target.n_vocab} tokens, config.json says {layer.n_vocab}")


class _Matrices:
    """A head's tensors, and the products made of them."""

    def __init__(self, checkpoint: Checkpoint, plan: KernelPlan) -> None:
        self._checkpoint, self._plan = checkpoint, plan

    def weight(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        return self._checkpoint.tensor(f"{name}.weight", shape)

    def linear(self, name: str, shape: tuple[int, int], has_bias: bool = False) -> Linear:
        bias = self._checkpoint.tensor(f"{name}.bias", shape[:1]) if has_bias else None
        return Linear(self.weight(name, shape), bias, self._plan)

    def qkv(self, layer: DecoderConfig, n_in: int) -> Linear:
        sizes = [n * layer.head_dim for n in (layer.n_heads, layer.n_kv_heads, layer.n_kv_heads)]
        names = [f"layer.self_attn.{name}_proj" for name in "qkv"]
        weights = [self.weight(name, (n, n_in)) for name, n in zip(names, sizes, strict=True)]
        biases = [
            self._checkpoint.tensor(f"{name}.bias", (n,))
            for name, n in zip(names, sizes, strict=True)
            if layer.qkv_bias
        ]
        return Linear(torch.cat(weights), torch.cat(biases) if biases else None, self._plan)
