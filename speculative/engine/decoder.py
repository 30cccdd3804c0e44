"""A plain PyTorch Llama-family decoder: fused, prepacked projections and explicit positions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from speculative.engine.decoder_config import DecoderConfig, inverse_frequencies
from speculative.engine.kv_cache import KVCache
from speculative.engine.linear import Int4Linear, Linear
from speculative.engine.token_batch import AttentionPlan, TokenBatch

Weights = Mapping[str, torch.Tensor]
_Place = Callable[[torch.Tensor], torch.Tensor]
_Make = Callable[[torch.Tensor, torch.Tensor | None], Linear | Int4Linear]


@dataclass(frozen=True, slots=True)
class ForwardOutput:
    """Result of one pass.

    Attributes:
        logits: (m, v) float, one row for each chosen token.
        hidden: (n, d) last-layer states of all the pass's tokens, after the final norm.
    """

    logits: torch.Tensor
    hidden: torch.Tensor


class Decoder:
    """Llama, Mistral (full attention), Qwen2 and Qwen3 in one forward pass.

    The two halves of each rotary pair are laid side by side, so that a rotation is one complex product.

    Args:
        config: sizes and constants.
        weights: a transformers checkpoint's tensors by name.
        dtype, device: of every weight and of the cache.
        linear: the class of every matrix product: `Linear`, or `Int4Linear` for weights at 4 bits.
        min_rows: a pass of fewer tokens is filled up to this many. Where weights come from memory, oneDNN's kernels for
            one to three rows are slower than that for four (36, 40, 35 and 33 ms on SmolLM2-135M, AVX2, two threads).

    Raises:
        ValueError: if a tensor is missing.
    """

    def __init__(
        self,
        config: DecoderConfig,
        weights: Weights,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        linear: type[Linear] | type[Int4Linear] = Linear,
        min_rows: int = 1,
    ) -> None:
        self.config, self.dtype, self.device = config, dtype, torch.device(device)
        self._linear, self._min_rows = linear, min_rows
        cast = {name.removeprefix("model."): tensor.float() for name, tensor in weights.items()}
        try:
            self._embedding = self._place(cast["embed_tokens.weight"])
            self._layers = [
                _Layer(config, cast, f"layers.{i}.", self._place, self._make) for i in range(config.n_layers)
            ]
            head = cast["embed_tokens.weight" if config.tied_head else "lm_head.weight"]
            self._head = self._make(head, None)
            self._norm = self._place(cast["norm.weight"])
        except KeyError as error:
            raise ValueError(f"the checkpoint lacks the tensor {error}; it is incomplete") from error
        angles = torch.outer(torch.arange(config.max_positions).float(), inverse_frequencies(config))
        rotations = torch.polar(torch.ones_like(angles), angles)[:, None]  # (positions, 1, head_dim / 2)
        self._rotations = rotations.to(self.device)

    def _place(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device, self.dtype)

    def _make(self, weight: torch.Tensor, bias: torch.Tensor | None) -> "Linear | Int4Linear":
        return self._linear(self._place(weight), None if bias is None else self._place(bias))

    @property
    def n_vocab(self) -> int:
        """Size of the vocabulary, v."""
        return self.config.n_vocab

    @property
    def max_positions(self) -> int:
        """Longest prefix the model was made for, tokens."""
        return self.config.max_positions

    def new_cache(self, n_rows: int, capacity: int = 512) -> KVCache:
        """An empty cache of this model's shape."""
        return KVCache(
            self.config.n_layers,
            n_rows,
            self.config.n_kv_heads,
            self.config.head_dim,
            capacity=capacity,
            dtype=self.dtype,
            device=self.device,
        )

    @torch.inference_mode()
    def forward(self, batch: TokenBatch, cache: KVCache, logit_rows: Sequence[int] | None = None) -> ForwardOutput:
        """Run new tokens against the cache and append them to it.

        Args:
            batch: the new tokens; row r's first token stands at position `cache.lengths[r]`.
            cache: read, extended in place.
            logit_rows: which of the batch's n tokens need logits; None for all.

        Raises:
            ValueError: if a row would grow beyond `max_positions`.
        """
        rows = range(batch.first_row, batch.first_row + len(batch.counts))
        starts = [cache.lengths[row] for row in rows]
        longest = max(start + count for start, count in zip(starts, batch.counts, strict=True))
        if longest > self.max_positions:
            raise ValueError(f"a prefix of {longest} tokens exceeds the model's context of {self.max_positions} tokens")
        n, filled = len(batch.token_ids), self._filled(batch, starts[-1])
        cache.reserve(max(longest, starts[-1] + filled.counts[-1]))
        n_groups = self.config.n_heads // self.config.n_kv_heads
        plan = AttentionPlan(filled, starts, cache.capacity, n_groups, self.dtype)
        rotations = self._rotations[plan.positions]
        x = self._embedding[filled.token_ids]
        for layer, keys, values in zip(self._layers, cache.keys, cache.values, strict=True):
            x = layer.forward(x, rotations, keys, values, plan)
        for row, start, count in zip(rows, starts, batch.counts, strict=True):
            cache.lengths[row] = start + count
        hidden = functional.rms_norm(x, (self.config.n_features,), self._norm, self.config.rms_norm_eps)
        if logit_rows is not None:
            return ForwardOutput(self._head(hidden[list(logit_rows)]), hidden[:n])
        return ForwardOutput(self._head(hidden)[:n], hidden[:n])

    def _filled(self, batch: TokenBatch, last_start: int) -> TokenBatch:
        """The batch with its last token repeated up to `min_rows` tokens; the copies' slots lie beyond the lengths."""
        n = len(batch.token_ids)
        n_more = min(self._min_rows - n, self.max_positions - last_start - batch.counts[-1])
        if n_more <= 0:
            return batch
        token_ids = torch.cat([batch.token_ids, batch.token_ids[-1:].expand(n_more)])
        return TokenBatch(token_ids, [*batch.counts[:-1], batch.counts[-1] + n_more], batch.first_row)


class _Layer:
    """One block: attention and gated feed-forward, each on a normalised input and added to the residual."""

    def __init__(self, config: DecoderConfig, weights: Weights, prefix: str, place: _Place, make: _Make) -> None:
        self._config = config
        names = ("q_proj", "k_proj", "v_proj")
        heads = (config.n_heads, config.n_kv_heads, 0)  # heads whose rotary pairs are laid side by side
        qkv = [_pair(weights[f"{prefix}self_attn.{n}.weight"], h) for n, h in zip(names, heads, strict=True)]
        biases = [weights.get(f"{prefix}self_attn.{n}.bias") for n in names]
        bias = None
        if biases[0] is not None:
            paired = [_pair(b, h) for b, h in zip(biases, heads, strict=True) if b is not None]
            bias = torch.cat(paired)
        self._qkv = make(torch.cat(qkv), bias)
        self._norm = place(weights[f"{prefix}input_layernorm.weight"])
        self._mlp_norm = place(weights[f"{prefix}post_attention_layernorm.weight"])
        self._out = make(*_projection(weights, f"{prefix}self_attn.o_proj"))
        self._gate = make(*_projection(weights, f"{prefix}mlp.gate_proj"))
        self._up = make(*_projection(weights, f"{prefix}mlp.up_proj"))
        self._down = make(*_projection(weights, f"{prefix}mlp.down_proj"))
        self._head_gains: torch.Tensor | None = None
        if f"{prefix}self_attn.q_norm.weight" in weights:  # Qwen3: each query and key head is normalised
            gains = [_pair(weights[f"{prefix}self_attn.{n}.weight"], 1) for n in ("q_norm", "k_norm")]
            counts = torch.tensor([config.n_heads, config.n_kv_heads])
            self._head_gains = place(torch.stack(gains).repeat_interleave(counts, dim=0))

    def forward(
        self,
        x: torch.Tensor,
        rotations: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        plan: AttentionPlan,
    ) -> torch.Tensor:
        """Map (n, d) to (n, d), writing this layer's keys and values of the n tokens."""
        config = self._config
        n, shape, eps = x.shape[0], (config.n_features,), config.rms_norm_eps
        heads = self._qkv(functional.rms_norm(x, shape, self._norm, eps)).view(n, -1, config.head_dim)
        n_rotated = config.n_heads + config.n_kv_heads
        rotated = heads[:, :n_rotated]
        if self._head_gains is not None:
            rotated = functional.rms_norm(rotated, (config.head_dim,), eps=eps) * self._head_gains
        rotated = _rotate(rotated, rotations)
        if isinstance(plan.slots, slice):
            keys[plan.rows.start, plan.slots] = rotated[:, config.n_heads :]
            values[plan.rows.start, plan.slots] = heads[:, n_rotated:]
        else:
            keys.flatten(0, 1).index_copy_(0, plan.slots, rotated[:, config.n_heads :])
            values.flatten(0, 1).index_copy_(0, plan.slots, heads[:, n_rotated:])
        mixed = _attend(rotated[:, : config.n_heads], keys[plan.rows], values[plan.rows], plan)
        x = self._out.add(mixed, x)
        h = functional.rms_norm(x, shape, self._mlp_norm, eps)
        return self._down.add(self._up.multiply(h, functional.silu(self._gate(h))), x)


def _attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, plan: AttentionPlan) -> torch.Tensor:
    """Attention of (n, h, hd) queries over (b, capacity, h_kv, hd) keys: (n, h * hd)."""
    _, n_heads, head_dim = queries.shape
    b, t, g = plan.n_rows, plan.width, plan.n_groups
    if plan.padded is not None:
        queries = queries.new_zeros(b * t, n_heads, head_dim).index_copy_(0, plan.padded, queries)
    folded = queries.view(b, t, -1, g, head_dim).permute(0, 2, 3, 1, 4).reshape(b, -1, g * t, head_dim)
    mixed = functional.scaled_dot_product_attention(
        folded,
        keys[:, : plan.kv_length].transpose(1, 2),  # (b, h_kv, kv_length, hd)
        values[:, : plan.kv_length].transpose(1, 2),
        attn_mask=plan.mask,
    )
    flat = mixed.view(b, -1, g, t, head_dim).permute(0, 3, 1, 2, 4).reshape(b * t, n_heads * head_dim)
    return flat if plan.padded is None else flat[plan.padded]


def _rotate(heads: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """Turn each pair of features of (n, h, hd) by its position's angle.

    Source: Su et al. 2021, equation 13 (arXiv:2104.09864).
    """
    pairs = torch.view_as_complex(heads.float().view(*heads.shape[:2], -1, 2))
    return torch.view_as_real(pairs * rotations).flatten(-2).to(heads.dtype)


def _pair(weight: torch.Tensor, n_heads: int) -> torch.Tensor:
    """Reorder a projection's rows, head by head, from (first halves, second halves) to side-by-side pairs."""
    if n_heads == 0:
        return weight
    head_dim = weight.shape[0] // n_heads
    return weight.view(n_heads, 2, head_dim // 2, -1).transpose(1, 2).reshape(weight.shape)


def _projection(weights: Weights, name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A projection's weight by name, and its bias where it has one."""
    return weights[f"{name}.weight"], weights.get(f"{name}.bias")
