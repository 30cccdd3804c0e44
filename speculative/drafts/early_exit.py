"""The target's own first layers draft."""

import time
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field

from arms.checks import at_least, within
from arms.fingerprint import digest
from speculative.drafts.spec import DraftedTarget
from speculative.drafts.stopping import Confidence, StoppingDraft, StoppingSpec
from speculative.models.decoder import Decoder
from speculative.protocols.draft import Draft, DraftSession, Proposal, SharedCache
from speculative.protocols.draft_trace import BestTokens, DraftTrace, trace_of_best
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.token_sampler import GREEDY, TokenSampler

_READ_CHUNK = 512  # tokens a pass reads; bounds the memory of attention masks


class EarlyExit(StoppingDraft):
    """Proposes what the target would say if it stopped after its first layers.

    In an engine it works on the target's own KV cache and takes no memory. What it writes for its draft tokens is taken
    back before the target verifies them. Models that were not trained for it are rejected often at early layers.

    Proposal: deterministic for a greedy or coupled request, else drawn from the early layers' distribution.
    Availability: prefixes shorter than the target's context. Lag: none in an engine, where the committed tokens' keys
    and values are there already. Cost: per token the share of the target's layers, and its whole head.

    Args:
        target: the model that will verify.
        n_layers: layers to run, fewer than the target has.
        n_target_vocab: proposals stay below it; by default the target's vocabulary.
        min_confidence: stop drafting below it, see `StoppingDraft`.

    Raises:
        ValueError: if there are not that many layers, `n_target_vocab` is beyond the target's vocabulary, or
            `min_confidence` not in [0, 1].
        TypeError: if the target is not one of draftpick's decoders.

    Source: Elhoushi et al. 2024, "LayerSkip", section 4.3 (arXiv:2404.16710), self-speculation with a shared cache.
    """

    proposal_kind: ClassVar[Literal["deterministic", "sampled"]] = "sampled"

    class Spec(StoppingSpec):
        """The settings in a pool file: `n_layers`, and what `StoppingSpec` has."""

        kind: Literal["early_exit"] = "early_exit"
        n_layers: int = Field(ge=1)

        def build(self, target: DraftedTarget) -> Draft:
            """Make the draft of the target's own layers."""
            model = target.model
            if not isinstance(model, Decoder):
                raise ValueError(
                    f"early_exit needs a target that draftpick's own decoder computes, not {target.name!r}"
                )
            return self.stopping(EarlyExit(model, n_layers=self.n_layers, n_target_vocab=target.n_tokens))

    def __init__(
        self, target: Decoder, *, n_layers: int, n_target_vocab: int | None = None, min_confidence: float = 0.0
    ) -> None:
        if not isinstance(target, Decoder):
            raise TypeError(f"early exit needs draftpick's own decoder as the target, got {type(target).__name__}")
        within(at_least(n_layers, 1, "n_layers"), 1, target.config.n_layers - 1, "n_layers")
        self.target, self.n_layers = target, n_layers
        self.n_proposable = target.n_vocab if n_target_vocab is None else n_target_vocab
        within(at_least(self.n_proposable, 1, "n_target_vocab"), 1, target.n_vocab, "n_target_vocab")
        self.name, self.max_positions = f"early_exit_{n_layers}", target.max_positions
        self.min_confidence = within(min_confidence, 0.0, 1.0, "min_confidence")

    def fingerprint(self) -> str:
        """Return a digest of the target and of how many of its layers run."""
        stopping = [self.min_confidence] if self.min_confidence else []
        return digest(type(self), self.target.fingerprint(), self.n_layers, self.n_proposable, *stopping)

    def open(self, prompt: Sequence[int], shared: SharedCache | None = None) -> DraftSession:
        """Open a session on the request's row of the target's cache, or on a cache of its own where it stands alone."""
        return _ExitSession(self, SharedCache(self.target, self.target.new_cache(1)) if shared is None else shared)

    def trace(self, prompt: Sequence[int], new: Sequence[int], max_draft_length: int) -> DraftTrace:
        """One pass over the text tells at which positions the early layers' best token is the target's."""
        text = torch.tensor([*prompt, *new], device=self.target.device)
        cache = self.target.new_cache(1)
        best = []
        for chunk in torch.split(text[:-1], _READ_CHUNK):
            logits = self.target.forward(TokenBatch(chunk, [len(chunk)]), cache, n_layers=self.n_layers).logits
            best.append(BestTokens.of(logits[:, : self.n_proposable]))
        found = trace_of_best(best, text, len(new), max_draft_length, self.target.max_positions)
        return self.stopped(found, prompt, new)


class _ExitSession(DraftSession):
    def __init__(self, draft: EarlyExit, shared: SharedCache) -> None:
        self._draft, self._shared = draft, shared

    def propose(self, prefix: Sequence[int], draft_length: int, sampler: TokenSampler = GREEDY) -> Proposal:
        begin = time.perf_counter()
        draft, shared = self._draft, self._shared
        n_held = min(shared.n_held, len(prefix) - 1)
        shared.take_back(n_held)
        missing = torch.tensor(prefix[n_held:], device=draft.target.device)
        for chunk in torch.split(missing, _READ_CHUNK):
            logits = shared.forward(chunk, draft.n_layers)
        tokens: list[torch.Tensor] = []
        confidence, read_s = Confidence(draft.min_confidence), time.perf_counter() - begin
        while True:
            allowed = logits[: draft.n_proposable]
            if confidence.falls_below(allowed[None]):
                break
            tokens.append(sampler.pick(allowed, len(prefix) + len(tokens))[None])
            if len(tokens) == draft_length:
                break
            logits = shared.forward(tokens[-1], draft.n_layers)
        shared.take_back(len(prefix) - 1)
        return Proposal(torch.cat(tokens).tolist() if tokens else [], len(missing), read_s)
