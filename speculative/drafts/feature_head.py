"""A head on the target's own states that drafts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal, cast

import numpy as np
import torch

from arms.checks import at_least, within
from arms.fingerprint import digest
from speculative.drafts.cache_rows import CacheRows, RowSession
from speculative.drafts.draft_model import VOCABULARY_FILE, read_vocabulary
from speculative.drafts.drafting_loop import proposal_of, propose_together, read_at_least, read_missing
from speculative.drafts.logits_draft import READ_CHUNK, LogitsDraft
from speculative.drafts.spec import DraftedTarget
from speculative.drafts.stopping import StoppingSpec
from speculative.models.decoder import Decoder
from speculative.models.feature_head import FeatureHeadModel, HeadOutput
from speculative.models.head_files import load_head
from speculative.models.sources import resolve_model
from speculative.protocols.draft import Answer, DraftAsk, DraftSession, Proposal, trace_of_session
from speculative.protocols.draft_trace import BestTokens, DraftTrace
from speculative.protocols.shared_cache import SharedCache
from speculative.protocols.state_rows import StateRows, inner_layers
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.token_sampler import GREEDY, TokenSampler

_States = Callable[[Sequence[int], int], torch.Tensor]


class FeatureHead(LogitsDraft):
    """Proposes what a single layer foretells from the target's own states of the text, and from what it foretold.

    In an engine the states come with the target's passes, and cost nothing but the memory of a row a token; an engine
    none of whose drafts asks for them keeps none. Standing alone it runs the target for them.

    Proposal: deterministic for a greedy or coupled request, else drawn from the head's own distribution. Availability:
    prefixes of two tokens up to the head's context. Lag: states of tokens that it was not asked for are kept, and read
    in one pass when it is next asked. Cost: one pass of a layer and a head a token.

    Args:
        head: the model.
        target: the one that will verify.
        name: unique in a pool.
        n_target_vocab: proposals stay below it; by default the target's vocabulary.
        min_confidence: stop drafting below it, see `StoppingDraft`.

    Raises:
        ValueError: if `n_target_vocab` is beyond the target's vocabulary, or `min_confidence` not in [0, 1].

    Source: Li et al. 2024, "EAGLE", section 4 (arXiv:2401.15077), one path, not a tree of them; Li et al. 2025,
    "EAGLE-3" (arXiv:2503.01840).
    """

    proposal_kind: ClassVar[Literal["deterministic", "sampled"]] = "sampled"

    class Spec(StoppingSpec):
        """The settings in a pool file.

        Attributes:
            model: folder or hub id of a head made for this target, by `distill` or others.
            min_confidence: as in `StoppingSpec`.
        """

        kind: Literal["feature_head"] = "feature_head"
        model: str

        def build(self, target: DraftedTarget) -> "FeatureHead":
            """Load the head for the target, in its arithmetic."""
            return self.stopping(FeatureHead.load(self.model, target))

    def __init__(
        self,
        head: FeatureHeadModel,
        target: Decoder,
        *,
        name: str,
        n_target_vocab: int | None = None,
        min_confidence: float = 0.0,
    ) -> None:
        self.head, self.target, self.name, self.device = head, target, name, target.device
        self.state_layers, self.max_positions = head.config.state_layers, min(head.max_positions, target.max_positions)
        self.trace_layers = self.state_layers
        self.min_confidence = within(min_confidence, 0.0, 1.0, "min_confidence")
        self._n_target_vocab = n = target.n_vocab if n_target_vocab is None else n_target_vocab
        within(at_least(n, 1, "n_target_vocab"), 1, target.n_vocab, "n_target_vocab")
        known = head.config.target_ids
        self._kept: torch.Tensor | slice = slice(0, n)  # the columns of its logits that may be proposed
        if known is not None:
            kept = [i for i, token in enumerate(known) if token < n]
            self._kept = slice(None) if len(kept) == len(known) else torch.tensor(kept, device=target.device)
            self.entry_ids = torch.tensor([known[i] for i in kept], device=target.device)

    @classmethod
    def load(cls, model: str | Path, target: DraftedTarget) -> "FeatureHead":
        """Load a head by folder or hub id; its name is `feature_head_` and the last part of the model's.

        Raises:
            VocabularyMismatchError: if it was distilled for another tokenizer than the target's.
            ValueError: if it cannot be found or read, or does not fit the target; the message says what does not.
        """
        if not isinstance(target.model, Decoder):
            raise ValueError(f"feature_head needs a target that draftpick's own decoder computes, not {target.name!r}")
        folder = model if isinstance(model, Path) else resolve_model(model)
        if (folder / VOCABULARY_FILE).exists():
            read_vocabulary(folder, target.tokenizer)
        name = f"feature_head_{str(model).rstrip('/').rpartition('/')[2]}"
        return cls(load_head(folder, target.model), target.model, name=name, n_target_vocab=target.n_tokens)

    def fingerprint(self) -> str:
        """Return a digest of the head, its target, and where it stops."""
        stopping = [self.min_confidence] if self.min_confidence else []
        return digest(type(self), self.head.fingerprint(), self._n_target_vocab, *stopping)

    def open(self, prompt: Sequence[int], shared: SharedCache | None = None) -> DraftSession:
        """Open a session on the states that the engine keeps, or on passes of the target where it stands alone."""
        held = CacheRows.of(self, shared, self.head.new_cache)
        if shared is None:
            return _HeadSession(self, held, _OwnStates(self.target, self.state_layers))
        return _HeadSession(self, held, lambda prefix, first: shared.states(self.state_layers, first))

    def propose_batch(self, asks: Sequence[DraftAsk]) -> list[Answer]:
        """Draft for all requests in the same passes of the head."""
        sessions = [cast(_HeadSession, ask.session) for ask in asks]
        held = sessions[0].held
        if any(session.held is not held for session in sessions) or any(len(ask.prefix) < 2 for ask in asks):
            return super().propose_batch(asks)
        n_least = [read_at_least(ask, self.target.device) for ask in asks]
        pairs = [session.cut(ask.prefix, n) for session, ask, n in zip(sessions, asks, n_least, strict=True)]
        states, missing = [own for own, _ in pairs], [token_ids for _, token_ids in pairs]
        rows, n_done, foretold = [session.row for session in sessions], [0] * len(asks), dict[int, torch.Tensor]()

        def keep(which: Sequence[int], output: HeadOutput) -> torch.Tensor:
            foretold.update((i, output.state[k : k + 1]) for k, i in enumerate(which))
            return output.logits

        def read(which: Sequence[int], token_ids: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
            parts = [states[i][n_done[i] : n_done[i] + n] for i, n in zip(which, counts, strict=True)]
            for i, n in zip(which, counts, strict=True):
                n_done[i] += n
            batch = TokenBatch.in_rows(token_ids, counts, [rows[i] for i in which])
            return keep(which, self.head.read(_joined(parts), batch, held.cache))

        def catch_up() -> torch.Tensor:
            logits = read_missing(missing, self.target.device, read)
            for i, session in enumerate(sessions):
                session.note(logits[i : i + 1])
            return logits

        def go_on(which: Sequence[int], token_ids: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
            batch = TokenBatch.in_rows(token_ids, counts, [rows[i] for i in which])
            return keep(which, self.head.go_on(_joined([foretold[i] for i in which]), batch, held.cache))

        found = propose_together(self, asks, [len(token_ids) for token_ids in missing], catch_up, go_on)
        for session, proposal in zip(sessions, found, strict=True):
            session.keep(proposal)
        return found

    def trace(self, prompt: Sequence[int], new: Sequence[int], max_draft_length: int) -> DraftTrace:
        """As every draft's, on states of one pass of the target over the text; its confidence beside it."""
        return self._traced(_OwnStates(self.target, self.state_layers, [*prompt, *new]), prompt, new, max_draft_length)

    def trace_on_states(
        self, states: torch.Tensor, prompt: Sequence[int], new: Sequence[int], max_draft_length: int
    ) -> DraftTrace:
        """Find what `trace` does, on states that passes of the target left."""
        return self._traced(lambda prefix, first: states[first : len(prefix) - 1], prompt, new, max_draft_length)

    def _traced(self, states: _States, prompt: Sequence[int], new: Sequence[int], max_draft_length: int) -> DraftTrace:
        session = _TracingSession(self, CacheRows.of(self, None, self.head.new_cache), states)
        found = trace_of_session(self, session, prompt, new, max_draft_length)
        confidences = np.zeros(len(new), dtype=np.float32)
        confidences[1 : 1 + len(session.confidences)] = session.confidences
        return replace(found, confidences=confidences, stops=self.min_confidence > 0.0)

    def allowed(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the columns of (n, v) logits that stand for tokens of the target, its padding left out."""
        return logits[:, self._kept]

    def own_ids(self, entries: torch.Tensor) -> torch.Tensor:
        """Map (n,) entries of the allowed logits to the target's ids."""
        return entries if self.entry_ids is None else self.entry_ids[entries]


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


class _HeadSession(RowSession):
    """Pairs of a true state and the token after it are never taken back; pairs of foretold states are, every round."""

    def __init__(self, draft: FeatureHead, held: CacheRows, states: _States) -> None:
        super().__init__(held)
        self._draft, self._states, self._n_true = draft, states, 0

    def propose(self, prefix: Sequence[int], draft_length: int, sampler: TokenSampler = GREEDY) -> Proposal:
        if len(prefix) < 2:
            self.note(None)
            return Proposal([])
        [found] = self._draft.propose_batch([DraftAsk(self, prefix, draft_length, sampler)])
        return proposal_of(found)

    def cut(self, prefix: Sequence[int], n_least: int) -> tuple[torch.Tensor, Sequence[int]]:
        """Forget what holds no longer; return the states that are missing and the tokens after them.

        They are at least so many where there are.
        """
        n_pairs = len(prefix) - 1
        first = max(0, min(self._n_true, n_pairs - n_least))
        self.held.cache.truncate(self.row, first)
        states = self._states(prefix, first)[: n_pairs - first]
        self._n_true = n_pairs
        return states, prefix[first + 1 :]

    def note(self, logits: torch.Tensor | None) -> None:
        """See the (1, v) logits of a first draft token; None where there are none."""


class _TracingSession(_HeadSession):
    """Keeps how sure the head is of each first draft token."""

    def __init__(self, draft: FeatureHead, held: CacheRows, states: _States) -> None:
        super().__init__(draft, held, states)
        self.confidences: list[float] = []

    def note(self, logits: torch.Tensor | None) -> None:
        best = 0.0 if logits is None else float(BestTokens.of(self._draft.allowed(logits)).probabilities)
        self.confidences.append(best)


class _OwnStates:
    """The target's states of a text, from passes of its own."""

    def __init__(self, target: Decoder, layers: tuple[int, ...], text: Sequence[int] = ()) -> None:
        self._target = target.tapping(inner_layers(layers))
        self._cache, self._rows, self._layers = target.new_cache(1), StateRows(layers), layers
        self._read(text)

    def __call__(self, prefix: Sequence[int], first: int) -> torch.Tensor:
        self._read(prefix[:-1])
        return self._rows.since(first, self._layers)

    def _read(self, text: Sequence[int]) -> None:
        missing = torch.tensor(text[self._rows.n_held :], device=self._target.device).long()
        for chunk in torch.split(missing, READ_CHUNK) if len(missing) else ():
            output = self._target.forward(TokenBatch(chunk, [len(chunk)]), self._cache, [len(chunk) - 1])
            self._rows.put(self._rows.n_held, output)
