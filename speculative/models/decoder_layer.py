"""One block of a Llama-family decoder: attention and gated feed-forward."""

import torch

from speculative.models.attention import Plan, attend
from speculative.models.checkpoint import Checkpoint
from speculative.models.config import DecoderConfig
from speculative.models.kernels.norm import NORMS
from speculative.models.kernels.plan import KernelPlan
from speculative.models.kernels.rotation import ROTATIONS
from speculative.models.linear import HalfLinear, Linear
from speculative.models.weight_blocks import Matrix, stack_rows


class _Projections:
    """A layer's matrices and biases by name."""

    def __init__(self, checkpoint: Checkpoint, prefix: str) -> None:
        self._checkpoint, self._prefix = checkpoint, prefix

    def __call__(self, name: str, shape: tuple[int, int], has_bias: bool) -> tuple[Matrix, torch.Tensor | None]:
        """Return weight and bias."""
        name = f"{self._prefix}{name}"
        bias = self._checkpoint.tensor(f"{name}.bias", shape[:1]) if has_bias else None
        return self._checkpoint.matrix(name, shape), bias


class DecoderLayer:
    """One block: attention and gated feed-forward, each on a normalised input and added to the residual."""

    def __init__(
        self,
        config: DecoderConfig,
        checkpoint: Checkpoint,
        prefix: str,
        linear: type[Linear] | type[HalfLinear],
        plan: KernelPlan,
    ) -> None:
        self._config, self._normalise, self._rotate = config, NORMS[plan.norm], ROTATIONS[plan.rotation]
        read, d, m = _Projections(checkpoint, prefix), config.n_features, config.n_intermediate
        n_rows = [n * config.head_dim for n in (config.n_heads, config.n_kv_heads, config.n_kv_heads)]
        projections = [
            read(f"self_attn.{name}", (n, d), config.qkv_bias)
            for name, n in zip(("q_proj", "k_proj", "v_proj"), n_rows, strict=True)
        ]
        matrices, biases = zip(*projections, strict=True)
        heads = (config.n_heads, config.n_kv_heads, 0)  # heads whose rotary pairs are laid side by side
        rows = [_paired_rows(len(matrix), h) for matrix, h in zip(matrices, heads, strict=True)]
        bias = [b[at] for b, at in zip(biases, rows, strict=True) if b is not None]
        qkv = stack_rows([matrix[at] for matrix, at in zip(matrices, rows, strict=True)])
        self._qkv = linear(qkv, torch.cat(bias) if bias else None, plan)
        self._norm = checkpoint.tensor(f"{prefix}input_layernorm.weight", (d,))
        self._mlp_norm = checkpoint.tensor(f"{prefix}post_attention_layernorm.weight", (d,))
        self._out = linear(*read("self_attn.o_proj", (d, n_rows[0]), config.out_bias), plan)
        gate, up = (read(f"mlp.{n}_proj", (m, d), config.mlp_bias) for n in ("gate", "up"))
        self._gated = linear.gated(gate, up, plan)
        self._down = linear(*read("mlp.down_proj", (d, m), config.mlp_bias), plan)
        self._head_gains: torch.Tensor | None = None
        if config.head_norms:  # Qwen3: each query and key head is normalised
            head = (config.head_dim,)
            gains = [checkpoint.tensor(f"{prefix}self_attn.{n}.weight", head) for n in ("q_norm", "k_norm")]
            counts = torch.tensor([config.n_heads, config.n_kv_heads])
            rows_of_head = _paired_rows(config.head_dim, 1)
            self._head_gains = torch.stack([gain[rows_of_head] for gain in gains]).repeat_interleave(
                counts.to(gains[0].device), dim=0
            )

    def forward(
        self,
        x: torch.Tensor,
        rotations: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        plan: Plan,
    ) -> torch.Tensor:
        """Map (m, d) to (m, d), writing this layer's keys and values of the n tokens; rows beyond n are filling."""
        config = self._config
        n, eps = len(rotations), config.rms_norm_eps
        heads = self._qkv(self._normalise(x, self._norm, eps))[:n].view(n, -1, config.head_dim)
        n_rotated = config.n_heads + config.n_kv_heads
        rotated = heads[:, :n_rotated]
        if self._head_gains is not None:
            rotated = self._normalise(rotated, None, eps) * self._head_gains
        rotated = self._rotate(rotated, rotations)
        plan.slots.write(keys, rotated[:, config.n_heads :])
        plan.slots.write(values, heads[:, n_rotated:])
        mixed = attend(rotated[:, : config.n_heads], keys, values, plan)
        x = self._out.add(filled(mixed, len(x)), x)
        h = self._normalise(x, self._mlp_norm, eps)
        return self._down.add(self._gated(h, plan.apart == "tokens"), x)


def filled(x: torch.Tensor, n_rows: int) -> torch.Tensor:
    """Return the rows of (n, d), with the last one repeated until there are `n_rows`."""
    n_more = n_rows - len(x)
    return x if n_more <= 0 else torch.cat([x, x[-1:].expand(n_more, -1)])


def _paired_rows(n_rows: int, n_heads: int) -> torch.Tensor:
    """Order of a projection's rows that lays each head's rotary pairs, kept as two halves, side by side."""
    if n_heads == 0:
        return torch.arange(n_rows)
    return torch.arange(n_rows).view(n_heads, 2, -1).transpose(1, 2).flatten()
