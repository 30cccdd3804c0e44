"""Any transformers causal LM as a target: computed by transformers, its keys and values in the engine's store."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from speculative.models.adapters.transformers_cache import (
    AppendOnlyCache,
    CannotRollBackError,
    PaddedPass,
    StoreLayout,
    narrow_window,
)
from speculative.models.fingerprint import model_fingerprint, sample_digest
from speculative.models.linear import Float32Linear
from speculative.protocols.causal_lm import ForwardOutput
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.token_batch import TokenBatch

UNBOUNDED = 2**31 - 1  # positions of a model whose configuration names no limit
_LIMITS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
_STATE_NAMES = ("past_key_values", "cache_params", "state")
_PROBE_LENGTH = 12
# Of the logits' standard deviation. bfloat16 SmolLM2 and Gemma 3 came to 0.07; a wrong mask or position to 1 or more.
_TOLERANCE, _HALF_TOLERANCE = 1e-3, 0.25
# What a model that does not take our masks, positions or cache may raise while it is tried out.
_FAULTS = (RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError)


class TransformersLM:
    """A transformers causal LM behind the engine's interface.

    Where every layer is attention, keys and values live in the engine's store, and every pass has explicit positions
    and masks, one a layer type; sliding windows are masks over the full store, so that they roll back too. Whether a
    model computes the same that way is tried out once, on a few tokens with a rollback and a narrow window. Where it
    does not (recurrent states, positions derived from masks), each row keeps the model's own cache, which only grows:
    such a model generates without drafts. The model's own forward runs, its output head on the chosen tokens only.

    Args:
        model: the transformers model, on one device; it is switched to evaluation.

    Attributes:
        head: the model's output head.
        rollback_refusal: why the cache cannot be rolled back; None where it can.

    Raises:
        ValueError: if the model has an encoder, or no output head or cache of its own.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        refuse_encoder(model.config)
        self._config = model.config.get_text_config(decoder=True)
        self._model, self.head = model.eval(), model.get_output_embeddings()
        is_half = type(self.head) is torch.nn.Linear and model.dtype != torch.float32
        self._exact_head = Float32Linear(self.head.weight.detach()) if is_half else None
        parameters = inspect.signature(model.forward).parameters
        state_name = next((name for name in _STATE_NAMES if name in parameters), None)
        if self.head is None or state_name is None:
            lacking = "cache" if self.head is not None else "output head"
            raise ValueError(f"{type(model).__name__} has no {lacking} of a known name and cannot be a target")
        self._state_name = state_name
        self.dtype, self.device = model.dtype, model.device
        limits = (getattr(self._config, name, None) for name in _LIMITS)
        self.max_positions = next((int(limit) for limit in limits if limit), UNBOUNDED)
        logits, hidden, state = self._run([0], input_ids=torch.zeros((1, 1), dtype=torch.int64, device=self.device))
        self.n_vocab, self.n_features = logits.shape[-1], hidden.shape[-1]
        self.arithmetic = f"transformers {type(model).__name__}"
        self.rollback_refusal: str | None = None
        self._layout: StoreLayout | None = None
        self._appends_many = True
        try:
            self._layout = StoreLayout.of(self._config, state, parameters)
            self._try_rollback(self._layout)
        except CannotRollBackError as reason:
            self._layout, self.rollback_refusal = None, f"{type(model).__name__} {reason}"
            self._appends_many = self._try_appending()

    packs_rows = False

    @property
    def can_roll_back(self) -> bool:
        """Whether rejected draft tokens can be forgotten, so that drafts can be verified."""
        return self._layout is not None

    def fingerprint(self) -> str:
        """Return a digest of configuration, weights and dtype."""
        digests = [(name, sample_digest(tensor)) for name, tensor in self._model.state_dict().items()]
        return model_fingerprint(f"{self._config.to_json_string()} {self.dtype}", digests)

    def new_cache(self, n_rows: int, capacity: int = 512) -> KVCache:
        """Make an empty cache of this model's shape; one that only grows where `can_roll_back` is False."""
        if self._layout is None:
            return AppendOnlyCache(n_rows, capacity)
        return self._layout.new_cache(n_rows, capacity, self.dtype, self.device)

    @torch.inference_mode()
    def forward(self, batch: TokenBatch, cache: KVCache, logit_rows: Sequence[int] | None = None) -> ForwardOutput:
        """Run new tokens against the cache and append them to it.

        Args:
            batch: the new tokens; row r's first token stands at position `cache.lengths[r]`.
            cache: one of `new_cache`; read, extended in place.
            logit_rows: which of the batch's n tokens need logits; None for all.

        Raises:
            ValueError: if a row would grow beyond `max_positions`, or (on the CPU; elsewhere the check would hold
                up the device) a token id is beyond the vocabulary.
        """
        rows = range(batch.first_row, batch.first_row + len(batch.counts))
        ends = [cache.lengths[row] + count for row, count in zip(rows, batch.counts, strict=True)]
        if max(ends) > self.max_positions:
            raise ValueError(
                f"a prefix of {max(ends)} tokens exceeds the model's context of {self.max_positions} tokens"
            )
        if self.device.type == "cpu":
            low, high = (int(end) for end in batch.token_ids.aminmax())
            if low < 0 or high >= self.n_vocab:
                raise ValueError(f"token id {low if low < 0 else high} is not in [0, {self.n_vocab})")
        chosen = range(len(batch.token_ids)) if logit_rows is None else logit_rows
        if isinstance(cache, AppendOnlyCache):
            output = self._run_rows(batch, cache, chosen)
        elif self._layout is None:
            raise TypeError(f"this model's cache only grows: make one with new_cache, got {type(cache).__name__}")
        else:
            output = self._run_store(self._layout, batch, cache, chosen)
        for row, end in zip(rows, ends, strict=True):
            cache.lengths[row] = end
        return output

    def _run_store(
        self, layout: StoreLayout, batch: TokenBatch, cache: KVCache, chosen: Sequence[int]
    ) -> ForwardOutput:
        """One pass over all rows against the store."""
        starts = cache.lengths[batch.first_row : batch.first_row + len(batch.counts)]
        cache.reserve(max(start + count for start, count in zip(starts, batch.counts, strict=True)))
        plan = PaddedPass(batch, starts)
        logits, hidden, _ = self._run(
            chosen if plan.gather is None else plan.gather[list(chosen)],
            input_ids=plan.token_ids,
            position_ids=plan.positions,
            attention_mask=plan.masks(layout.windows(self._config), self.dtype),
            past_key_values=plan.cache(cache),
        )
        return ForwardOutput(logits, plan.packed(hidden))

    def _run_rows(self, batch: TokenBatch, cache: AppendOnlyCache, chosen: Sequence[int]) -> ForwardOutput:
        """One pass a row against its own state, or one a token where the model cannot append several at once."""
        logits, hidden, first = [], [], 0
        for row, token_ids in enumerate(torch.split(batch.token_ids, list(batch.counts)), batch.first_row):
            state = cache.state(row)
            step = 1 if state is not None and not self._appends_many else len(token_ids)
            for piece in torch.split(token_ids, step):
                wanted = sorted(i - first for i in chosen if first <= i < first + len(piece))
                held = {} if state is None else {self._state_name: state}
                part, states, state = self._run(wanted, input_ids=piece[None], **held)
                logits.append(part)
                hidden.append(states)
                first += len(piece)
            cache.states[row], cache.read[row] = state, cache.lengths[row] + len(token_ids)
        order = sorted(range(len(chosen)), key=lambda i: chosen[i])  # the passes give logits in the tokens' order
        places = torch.tensor(order, dtype=torch.int64, device=self.device).argsort()
        return ForwardOutput(torch.cat(logits)[places], torch.cat(hidden))

    @torch.inference_mode()
    def _run(
        self, chosen: Sequence[int] | torch.Tensor, *, use_cache: bool = True, **inputs: Any
    ) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """Run the model's own forward with its head on the chosen tokens of the flattened (b * t).

        Returns:
            Logits (m, v), the head's input (b * t, d), and the model's cache after the pass.
        """
        seen: list[torch.Tensor] = []

        def narrow(_head: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            seen.append(given[0].flatten(0, 1))
            index = chosen if isinstance(chosen, torch.Tensor) else list(chosen)
            return (seen[0][None, index], *given[1:])

        def exact(_head: torch.nn.Module, given: tuple[torch.Tensor, ...], found: torch.Tensor) -> torch.Tensor:
            """Give logits in float32, where the head's own are rounded to half precision."""
            if self._exact_head is None:
                return found
            logits = self._exact_head(given[0].flatten(0, -2)).view(found.shape)
            return logits if self.head.bias is None else logits + self.head.bias

        hooks = [self.head.register_forward_pre_hook(narrow), self.head.register_forward_hook(exact)]
        try:
            output = self._model(**inputs, use_cache=use_cache)
        finally:
            for hook in hooks:
                hook.remove()
        if len(seen) != 1:
            raise ValueError(f"{type(self._model).__name__} calls its output head {len(seen)} times; it must once")
        return output.logits[0], seen[0], output.get(self._state_name)

    def _full_pass(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Logits (n, v) of the model alone, without any cache."""
        return self._run(range(len(token_ids)), input_ids=token_ids[None], use_cache=False)[0]

    def _probe_tokens(self, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(self.n_vocab, (_PROBE_LENGTH,), generator=generator).to(self.device)

    def _agree(self, logits: torch.Tensor, expected: torch.Tensor) -> bool:
        """Whether no token's logits (n, v) are further off than rounding, in the root mean square."""
        tolerance = _TOLERANCE if torch.finfo(self.dtype).bits > 16 else _HALF_TOLERANCE
        wrong = (logits.float() - expected.float()).square().mean(-1).sqrt()
        return bool(wrong.max() <= tolerance * expected.float().std())

    def _try_rollback(self, layout: StoreLayout) -> None:
        """Two rows of different lengths, a rejected draft, then the right tokens: logits must be the full pass's.

        The longest row gets the fewest tokens: models that count positions or causality from the end of the keys
        go wrong there.

        Raises:
            CannotRollBackError: if they are not, or the model does not take explicit masks and positions.
        """
        if self.max_positions < _PROBE_LENGTH:
            raise CannotRollBackError(f"has a context of {self.max_positions} tokens, too short to try a rollback")
        first, second = self._probe_tokens(0), self._probe_tokens(1)
        rejected = (second[3:6] + 1) % self.n_vocab
        cache = layout.new_cache(2, _PROBE_LENGTH, self.dtype, self.device)
        try:
            with narrow_window(self._config, layout):
                expected = [self._full_pass(first), self._full_pass(second)]
                got = [self.forward(TokenBatch(first[:7], [7], 0), cache).logits]
                self.forward(TokenBatch(second[:2], [2], 1), cache)
                both = torch.cat([first[7:8], second[2:3], rejected])
                got.append(self.forward(TokenBatch(both, [1, 4]), cache).logits[:2])
                cache.truncate(1, 3)
                both = torch.cat([first[8:10], second[3:7]])
                got.append(self.forward(TokenBatch(both, [2, 4]), cache).logits)
        except _FAULTS as error:
            reason = (str(error).splitlines() or [""])[0]
            raise CannotRollBackError(
                f"does not take explicit masks and positions ({type(error).__name__}: {reason})"
            ) from error
        want = [expected[0][:8], expected[1][2:3], expected[0][8:10], expected[1][3:7]]
        if not self._agree(torch.cat(got), torch.cat(want)):
            raise CannotRollBackError("computes other logits with explicit masks, positions and a rollback")

    def _try_appending(self) -> bool:
        """Whether several tokens after a state give the logits that they have in a full pass."""
        tokens = self._probe_tokens(0)[: min(6, self.max_positions)]
        half = len(tokens) // 2
        expected = self._full_pass(tokens)
        _, _, state = self._run([], input_ids=tokens[None, :half])
        try:
            logits, _, _ = self._run(
                range(len(tokens) - half), input_ids=tokens[None, half:], **{self._state_name: state}
            )
        except _FAULTS:
            return False
        return self._agree(logits, expected[half:])


def refuse_encoder(config: Any) -> None:
    """Refuse a transformers configuration of a model with an encoder.

    Raises:
        ValueError: if it has one.
    """
    if getattr(config, "is_encoder_decoder", False):
        raise ValueError(f"{config.model_type} is an encoder-decoder model; only decoder-only models can be targets")
