"""The target's own first layers draft."""

from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field

from arms.checks import at_least, within
from arms.fingerprint import digest
from speculative.drafts.drafting_loop import proposal_of, propose_together, read_missing
from speculative.drafts.logits_draft import READ_CHUNK, LogitsDraft, read_along, write_alone
from speculative.drafts.spec import DraftedTarget
from speculative.drafts.stopping import StoppingSpec
from speculative.models.decoder import Decoder
from speculative.protocols.draft import Answer, Draft, DraftAsk, DraftSession, Proposal
from speculative.protocols.draft_trace import BestTokens, DraftLogits, DraftTrace, trace_of_best
from speculative.protocols.shared_cache import SharedCache
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.token_sampler import GREEDY, TokenSampler


class EarlyExit(LogitsDraft):
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
        self.target, self.n_layers, self.device = target, n_layers, target.device
        self.n_proposable = target.n_vocab if n_target_vocab is None else n_target_vocab
        within(at_least(self.n_proposable, 1, "n_target_vocab"), 1, target.n_vocab, "n_target_vocab")
        self.name, self.max_positions = f"early_exit_{n_layers}", target.max_positions
        self.trace_layers = (n_layers,)
        self.min_confidence = within(min_confidence, 0.0, 1.0, "min_confidence")

    def fingerprint(self) -> str:
        """Return a digest of the target and of how many of its layers run."""
        stopping = [self.min_confidence] if self.min_confidence else []
        return digest(type(self), self.target.fingerprint(), self.n_layers, self.n_proposable, *stopping)

    def open(self, prompt: Sequence[int], shared: SharedCache | None = None) -> DraftSession:
        """Open a session on the request's row of the target's cache, or on a cache of its own where it stands alone."""
        return _ExitSession(self, SharedCache(self.target, self.target.new_cache(1)) if shared is None else shared)

    def propose_batch(self, asks: Sequence[DraftAsk]) -> list[Answer]:
        """Draft for all requests of an engine in the same passes of the first layers."""
        shares = [cast(_ExitSession, ask.session).shared for ask in asks]
        if not all(share.is_beside(shares[0]) for share in shares):  # each stands alone
            return super().propose_batch(asks)
        missing: list[Sequence[int]] = []
        for ask, share in zip(asks, shares, strict=True):
            n_held = min(share.n_held, len(ask.prefix) - 1)
            share.take_back(n_held)
            missing.append(ask.prefix[n_held:])

        def read(which: Sequence[int], token_ids: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
            return SharedCache.forward_together([shares[i] for i in which], token_ids, counts, self.n_layers)

        def catch_up() -> torch.Tensor:
            return read_missing(missing, self.target.device, read)

        found = propose_together(self, asks, [len(token_ids) for token_ids in missing], catch_up, read)
        for ask, share in zip(asks, shares, strict=True):
            share.take_back(len(ask.prefix) - 1)
        return found

    def allowed(self, logits: torch.Tensor) -> torch.Tensor:
        """Cut (n, v) logits to the target's tokens, its padding left out."""
        return logits[:, : self.n_proposable]

    def write(self, prompt: Sequence[int], n_tokens: int, eos_ids: Collection[int] = frozenset()) -> list[int]:
        """Return the draft's own greedy continuation of a prompt, on its first layers alone."""
        return write_alone(self, prompt, n_tokens, eos_ids)

    def logits_along(self, prompt: Sequence[int], new: Sequence[int]) -> DraftLogits:
        """One pass of the first layers over the text gives the distribution of each of its tokens."""
        return DraftLogits(torch.cat(list(self._along(prompt, new))))

    def trace(self, prompt: Sequence[int], new: Sequence[int], max_draft_length: int) -> DraftTrace:
        """One pass over the text tells at which positions the early layers' best token is the target's."""
        return self._traced(self._along(prompt, new), prompt, new, max_draft_length)

    def trace_on_states(
        self, states: torch.Tensor, prompt: Sequence[int], new: Sequence[int], max_draft_length: int
    ) -> DraftTrace:
        """Find what `trace` does by the target's head alone, on the states that leave the early layers."""
        parts = torch.split(states[len(prompt) :], READ_CHUNK) if len(new) > 1 else ()
        logits = (self.allowed(self.target.logits_of(part)) for part in parts)
        return self._traced(logits, prompt, new, max_draft_length)

    def _traced(
        self, logits: Iterator[torch.Tensor], prompt: Sequence[int], new: Sequence[int], max_draft_length: int
    ) -> DraftTrace:
        best = [BestTokens.of(part) for part in logits]
        found = trace_of_best(best, new, len(prompt), max_draft_length, self.target.max_positions)
        return self.stopped(found, prompt, new)

    def _along(self, prompt: Sequence[int], new: Sequence[int]) -> Iterator[torch.Tensor]:
        """Yield the allowed logits after each of the new tokens but the last."""
        text, cache = torch.tensor([*prompt, *new[:-1]], device=self.target.device), self.target.new_cache(1)

        def read(token_ids: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
            return self.target.forward(TokenBatch(token_ids, [len(token_ids)]), cache, rows, self.n_layers).logits

        return (self.allowed(logits) for logits in read_along(text, len(prompt), read))


class _ExitSession(DraftSession):
    def __init__(self, draft: EarlyExit, shared: SharedCache) -> None:
        self._draft, self.shared = draft, shared

    def propose(self, prefix: Sequence[int], draft_length: int, sampler: TokenSampler = GREEDY) -> Proposal:
        [found] = self._draft.propose_batch([DraftAsk(self, prefix, draft_length, sampler)])
        return proposal_of(found)
