"""A plain PyTorch Llama-family decoder: fused, prepacked projections and explicit positions."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from speculative.models.attention import Apart, AttentionPlan, Plan
from speculative.models.checkpoint import Checkpoint
from speculative.models.config import DecoderConfig, inverse_frequencies
from speculative.models.decoder_layer import DecoderLayer, filled
from speculative.models.fingerprint import model_fingerprint
from speculative.models.flash_attention import fits_pages, has_flash
from speculative.models.graphs import Graphs
from speculative.models.int8_linear import Int8Linear
from speculative.models.kernels.norm import NORMS
from speculative.models.kernels.plan import SAFE_PLAN, KernelPlan
from speculative.models.kernels.refined_linear import RefinedLinear
from speculative.models.linear import Float32Linear, HalfLinear, Linear
from speculative.models.static_pass import static_pass
from speculative.models.static_plan import StaticForm, StaticPlan
from speculative.models.weight_blocks import Matrix, WeightBlocks
from speculative.protocols.causal_lm import ForwardOutput
from speculative.protocols.kv_cache import CacheShape, KVCache
from speculative.protocols.kv_store import KVStore
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.pinned import without_waiting

Weights = Mapping[str, torch.Tensor]
Head = Linear | Float32Linear | RefinedLinear | HalfLinear | Int8Linear


@dataclass(frozen=True, slots=True)
class Products:
    """What multiplies a decoder's activations by its weights.

    Attributes:
        layers: the class of the layers' matrix products: `Linear`, or one for rounded weights, such as `Int4Linear`.
        head: the class of the product that gives the logits, float32 whatever the weights are; None for that of the
            layers, and in half precision for one with float32 results in place of `Linear`. At 4 bits it is where
            most of the loss comes from (`ModelSettings` has the figures).
        plan: the forms that they take, and what else of a pass has several.
    """

    layers: type[Linear] | type[HalfLinear] = Linear
    head: type[Head] | None = None
    plan: KernelPlan = SAFE_PLAN


_DENSE = Products()


class Decoder:
    """Llama, Mistral (full attention), Qwen2 and Qwen3 in one forward pass.

    The two halves of each rotary pair are laid side by side, so that a rotation is one complex product.

    Args:
        config: sizes and constants.
        weights: a transformers checkpoint's tensors by name.
        dtype: of every weight and of the cache.
        device: of every weight and of the cache.
        products: what multiplies.
        blocks: projections at 4 bits by name, in place of dense ones.

    Attributes:
        embedding: (v, d) of the input tokens.
        layers: the blocks, in their order.
        norm: (d,) of the last normalisation.
        head: the product that gives the logits.
        plan: the forms that the arithmetic takes.
        tapped_layers: numbers of the layers whose states whole passes return too, see `tapping`.
        graphs: on a card, passes of static shapes that run as graphs, with the memory of the caches that they are
            for; None where every pass is planned anew.

    Raises:
        ValueError: if a tensor is missing, unknown, damaged, or of another shape or kind than `config` says.
    """

    can_roll_back = True

    def __init__(
        self,
        config: DecoderConfig,
        weights: Weights,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        products: Products = _DENSE,
        blocks: Mapping[str, WeightBlocks] | None = None,
    ) -> None:
        self.config, self.dtype, self.device = config, dtype, torch.device(device)
        self.plan = plan = products.plan
        self._min_rows, self._invariant, self._one_token = plan.min_rows, False, False
        self.tapped_layers: tuple[int, ...] = ()
        self.graphs = Graphs.of(self.device, config.max_positions)
        linear, last = products.layers, products.head or products.layers
        if last is Linear and dtype != torch.float32:
            last = RefinedLinear if RefinedLinear.supported(dtype, self.device) else Float32Linear
        products_used = f"{linear.__name__}, {last.__name__}"
        self._arithmetic = f"{products_used}: {plan.summary()}"
        checkpoint = Checkpoint(weights, blocks or {}, self.device, dtype)
        self.embedding = checkpoint.tensor("embed_tokens.weight", (config.n_vocab, config.n_features))
        self.layers = [DecoderLayer(config, checkpoint, f"layers.{i}.", linear, plan) for i in range(config.n_layers)]
        self.norm = checkpoint.tensor("norm.weight", (config.n_features,))
        self.head = last(_head_weight(config, checkpoint, self.embedding), plan=plan)
        checkpoint.check_all_used()
        angles = torch.outer(torch.arange(config.max_positions).float(), inverse_frequencies(config))
        rotations = torch.polar(torch.ones_like(angles), angles)[:, None]  # (positions, 1, head_dim / 2)
        self._rotations = rotations.to(self.device)
        self._n_groups = config.n_heads // config.n_kv_heads
        self._has_flash = has_flash(dtype, self.device, self._n_groups, config.head_dim)
        self._fingerprint = model_fingerprint(f"{config} {dtype} {products_used}", checkpoint.digests.items())

    def fingerprint(self) -> str:
        """Return a digest of configuration, weights, dtype and the classes that multiply, under whatever plan."""
        return self._fingerprint

    @property
    def arithmetic(self) -> str:
        """Names of the classes that multiply, layers' and head's, the plan in words, and whether passes are graphs."""
        return self._arithmetic if self.graphs is None else f"{self._arithmetic}, graphs"

    @property
    def n_vocab(self) -> int:
        """Size of the vocabulary, v."""
        return self.config.n_vocab

    @property
    def n_features(self) -> int:
        """Width of the hidden states, d."""
        return self.config.n_features

    @property
    def max_positions(self) -> int:
        """Longest prefix the model was made for, tokens."""
        return self.config.max_positions

    @property
    def packs_rows(self) -> bool:
        """Whether a pass pads nothing, and need not be the same whatever else is in it."""
        return not self._invariant and (self.device.type == "cpu" or self._has_flash)

    def batch_invariant(self, width: int | None = None) -> "Decoder":
        """Give the same weights a form whose attention and activations treat each token alone.

        That holds for passes that ask for all logits. A prefill asks for its last token's only and is computed as
        ever: it is the same pass whichever arms follow.

        Args:
            width: of the matrix products, for machines on which a row's product depends on how many there are. None:
                as many rows as the pass has tokens; 1: each token is computed in a pass of its own; any other: passes
                are filled up to so many rows.

        Raises:
            ValueError: if the width is below 1.
        """
        if width is not None and width < 1:
            raise ValueError(f"width must be >= 1, got {width}")
        model = copy.copy(self)
        model._invariant, model._one_token = True, width == 1
        model._min_rows = max(width or 1, self._min_rows)
        return model

    def tapping(self, layers: Sequence[int]) -> "Decoder":
        """Give the same weights a form whose whole passes also return the states that enter some layers.

        Args:
            layers: numbers of layers, rising.

        Raises:
            ValueError: if there is no such layer, or they do not rise.
        """
        if list(layers) != sorted(set(layers)) or any(not 0 <= i < len(self.layers) for i in layers):
            raise ValueError(f"layers must rise within [0, {len(self.layers)}), got {list(layers)}")
        model = copy.copy(self)
        model.tapped_layers = tuple(layers)
        return model

    def new_cache(self, n_rows: int, capacity: int = 512) -> KVCache:
        """Make an empty cache of this model's shape."""
        shape = CacheShape(self.config.n_layers, n_rows, self.config.n_kv_heads, self.config.head_dim)
        pool = None if self.graphs is None else self.graphs.stores
        return KVCache(shape, capacity=capacity, dtype=self.dtype, device=self.device, pool=pool)

    @torch.inference_mode()
    def forward(
        self,
        batch: TokenBatch,
        cache: KVCache,
        logit_rows: Sequence[int] | None = None,
        n_layers: int | None = None,
    ) -> ForwardOutput:
        """Run new tokens against the cache and append them to it.

        Args:
            batch: the new tokens; row r's first token stands at position `cache.lengths[r]`.
            cache: read, extended in place.
            logit_rows: which of the batch's n tokens need logits; None for all.
            n_layers: stop after so many layers and read logits from there; None for all. Later layers' slots stay as
                they are.

        Returns:
            Logits and states. Of a pass that ran as a graph they hold until this model's next graph runs.

        Raises:
            ValueError: if a row would grow beyond `max_positions`.
        """
        rows = batch.rows
        starts = [cache.lengths[row] for row in rows]
        longest = max(start + count for start, count in zip(starts, batch.counts, strict=True))
        if longest > self.max_positions:
            raise ValueError(f"a prefix of {longest} tokens exceeds the model's context of {self.max_positions} tokens")
        n, invariant = len(batch.token_ids), self._invariant and logit_rows is None
        if invariant and self._one_token and n > 1:
            return self._each_token(batch, cache, n_layers)
        cache.reserve(longest)
        output = None if self._invariant else static_pass(self, batch, cache, logit_rows, n_layers)
        if output is None:
            apart: Apart = "tokens" if invariant else "rows" if self.device.type == "cpu" else "none"
            if apart == "none" and self._has_flash and fits_pages(cache.capacity):
                apart = "ragged"
            plan = AttentionPlan(batch, starts, self._n_groups, self.dtype, apart)
            output = self.run(batch.token_ids, plan, cache, logit_rows, n_layers)
        for row, start, count in zip(rows, starts, batch.counts, strict=True):
            cache.lengths[row] = start + count
        return output

    def static_plan(self, rows: slice, starts: torch.Tensor, width: int, cache: KVCache | KVStore) -> StaticPlan:
        """Plan a pass whose rows have `width` new tokens each, after as many as the device knows, see `StaticPlan`.

        Args:
            rows: of the cache, b of them.
            starts: (b,) int64 on the device, tokens that each holds before; what they end in must fit the cache and
                the model's context.
            width: new tokens of each row.
            cache: theirs.
        """
        has_flash = self._has_flash and fits_pages(cache.capacity)
        return StaticPlan(rows, starts, StaticForm(width, cache.capacity, self._n_groups, self.dtype, has_flash))

    @torch.inference_mode()
    def run(
        self,
        token_ids: torch.Tensor,
        plan: Plan,
        cache: KVCache | KVStore,
        logit_rows: Sequence[int] | torch.Tensor | None = None,
        n_layers: int | None = None,
    ) -> ForwardOutput:
        """Compute a pass that is planned; what the rows of the cache are said to hold is left to the caller.

        Args:
            token_ids: (n,) int64, the new tokens, one row's after the other's.
            plan: where they stand.
            cache: read, and written to where the plan says.
            logit_rows: which of the n tokens need logits, a tensor of the device or not; None for all.
            n_layers: stop after so many layers, see `forward`.
        """
        n = len(token_ids)
        rotations = self._rotations[plan.positions]
        x = filled(self.embedding[token_ids], self._min_rows)
        tapped: list[torch.Tensor] = []
        held = zip(self.layers[:n_layers], cache.keys, cache.values, strict=n_layers is None)
        for i, (layer, keys, values) in enumerate(held):
            if i in self.tapped_layers:
                tapped.append(x[:n])
            x = layer.forward(x, rotations, keys, values, plan)
        hidden = NORMS[self.plan.norm](x, self.norm, self.config.rms_norm_eps)
        if logit_rows is not None:
            return ForwardOutput(self.head(_chosen(hidden, logit_rows)).float(), hidden[:n], tuple(tapped))
        return ForwardOutput(self.head(hidden)[:n].float(), hidden[:n], tuple(tapped))

    @torch.inference_mode()
    def logits_of(self, states: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, v) float32 that some layer's (n, d) results give, as where a pass stops there."""
        return self.head(NORMS[self.plan.norm](states, self.norm, self.config.rms_norm_eps)).float()

    def _each_token(self, batch: TokenBatch, cache: KVCache, n_layers: int | None) -> ForwardOutput:
        """Run every token in a pass of its own."""
        rows = [row for row, count in zip(batch.rows, batch.counts, strict=True) for _ in range(count)]
        passes = [TokenBatch(token, [1], row) for token, row in zip(torch.split(batch.token_ids, 1), rows, strict=True)]
        outputs = [self.forward(one, cache, n_layers=n_layers) for one in passes]
        tapped = tuple(torch.cat(rows) for rows in zip(*(output.tapped for output in outputs), strict=True))
        return ForwardOutput(torch.cat([o.logits for o in outputs]), torch.cat([o.hidden for o in outputs]), tapped)


def _head_weight(config: DecoderConfig, checkpoint: Checkpoint, embedding: torch.Tensor) -> Matrix:
    """Return the matrix that gives logits: a tied checkpoint's own, where it holds another than its embedding.

    So does transformers: what was trained or pruned apart from the embedding is not lost.
    """
    if checkpoint.in_blocks("lm_head.weight"):
        return checkpoint.matrix("lm_head", (config.n_vocab, config.n_features))
    if config.tied_head and "lm_head.weight" not in checkpoint:
        return embedding
    head = checkpoint.tensor("lm_head.weight", (config.n_vocab, config.n_features))
    if not config.tied_head:
        return head
    if torch.equal(head, embedding):
        return embedding
    warnings.warn(
        "config.json says tie_word_embeddings, and the checkpoint holds an lm_head that differs from the embedding; "
        "the lm_head is used, as in transformers",
        stacklevel=2,
    )
    return head


def _chosen(x: torch.Tensor, rows: Sequence[int] | torch.Tensor) -> torch.Tensor:
    """Return some rows of (n, d); a card would wait for a list as index, and needs none for a single row."""
    if isinstance(rows, torch.Tensor):
        return x[rows]
    if len(rows) == 1:
        return x[rows[0] : rows[0] + 1]
    return x[list(rows)] if x.device.type == "cpu" else x[without_waiting(torch.tensor(rows), x.device)]
