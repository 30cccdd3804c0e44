"""A small language model that drafts."""

import json
import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch

from arms.checks import at_least, within
from arms.fingerprint import digest
from arms.input_file import read_text
from speculative.drafts.cache_rows import CacheRows, RowSession
from speculative.drafts.draft_program import propose_by_program
from speculative.drafts.drafting_loop import proposal_of, propose_together, read_at_least, read_missing
from speculative.drafts.logits_draft import LogitsDraft, read_along, write_alone
from speculative.drafts.spec import DraftedTarget
from speculative.drafts.stopping import StoppingSpec
from speculative.models.decoder import Decoder
from speculative.models.loading import load_model, resolve_settled
from speculative.models.settings import DEFAULT_SETTINGS, ModelSettings, WeightPrecision, dtype_of
from speculative.models.tokenizer import differing_ids, load_tokenizer, tokenizer_fingerprint
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.draft import Answer, Draft, DraftAsk, DraftSession, Proposal, UnreadProposal
from speculative.protocols.draft_trace import BestTokens, DraftLogits, DraftTrace, trace_of_best
from speculative.protocols.shared_cache import SharedCache
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.token_sampler import GREEDY, TokenSampler

VOCABULARY_FILE = "draft_vocabulary.json"


class VocabularyMismatchError(ValueError):
    """The draft's token ids do not mean what the target's do."""


class DraftModel(LogitsDraft):
    """Proposes the continuation of a small model: greedy, or picked by a sampled request's own noise.

    Proposal: deterministic for a greedy or coupled request, else each draft token is drawn from the small model's own
    distribution. Availability: prefixes shorter than the small model's context. Lag: its cache is read lazily, so a
    session that was idle reads what it missed when it is next asked, up to 512 tokens a pass. Cost: one pass of the
    small model a token.

    Args:
        model: the small model.
        name: unique in a pool.
        n_target_vocab: size of the target's vocabulary; proposals stay below it.
        target_ids: for a trimmed vocabulary, the target's id of each of the draft's ids; id 0 stands for
            every token the draft does not know and is never proposed. None where both share one vocabulary,
            which either may have padded.
        unlike: ids that mean another token to the target, or none; never proposed.
        min_confidence: stop drafting below it, see `StoppingDraft`.

    Raises:
        ValueError: if the model's cache cannot take tokens back, or `min_confidence` is not in [0, 1].
        VocabularyMismatchError: if `target_ids` does not name one target token, each another, per draft id.
    """

    proposal_kind: ClassVar[Literal["deterministic", "sampled"]] = "sampled"

    class Spec(StoppingSpec):
        """The settings in a pool file.

        Attributes:
            model: whatever `resolve_model` finds.
            weights: "dense"; "int4" keeps all of them at 4 bits, the head's too; "int4_fast" the layers', with a
                bfloat16 copy by which prompts are read; "fp8", on a card, as in `ModelSettings`; "auto" takes the
                fastest arithmetic that is measured here.
            dtype: of all else; None for the target's. With "auto" the fastest here.
            min_confidence: as in `StoppingSpec`.
        """

        kind: Literal["draft_model"] = "draft_model"
        model: str
        weights: Literal["dense", "int4", "int4_fast", "fp8", "auto"] = "dense"
        dtype: Literal["float32", "bfloat16", "float16", "auto"] | None = None

        def build(self, target: DraftedTarget) -> Draft:
            """Load the draft on the target's device, in its own arithmetic."""
            # a draft may be less exact than a text
            weights: WeightPrecision = "int4_all" if self.weights == "int4" else self.weights
            dtype = self.dtype or ("auto" if self.weights == "auto" else None)
            settings = replace(target.settings, weights=weights)
            if dtype is not None:
                settings = replace(settings, dtype=dtype_of(dtype))
            n_tokens = target.n_tokens or target.model.n_vocab
            name = self.unstopped().draft_name
            return self.stopping(DraftModel.load(self.model, target.tokenizer, n_tokens, settings, name=name))

        @property
        def draft_name(self) -> str:
            """The draft's name: the model's, with the arithmetic that is its own."""
            suffixes = [self.weights if self.weights != "dense" else None, self.dtype]
            return self.named("_".join([_name_of(self.model), *(suffix for suffix in suffixes if suffix is not None)]))

    def __init__(
        self,
        model: CausalLM,
        *,
        name: str,
        n_target_vocab: int,
        target_ids: Sequence[int] | None = None,
        unlike: Collection[int] = (),
        min_confidence: float = 0.0,
    ) -> None:
        if not model.can_roll_back:
            raise ValueError(f"draft {name!r}: its model's cache cannot take back a rejected draft token")
        self.name, self.model, self.max_positions, self.device = name, model, model.max_positions, model.device
        self.min_confidence = within(min_confidence, 0.0, 1.0, "min_confidence")
        self.proposable = slice(0, min(model.n_vocab, at_least(n_target_vocab, 1, "n_target_vocab")))
        self._target_ids: torch.Tensor | None = None
        masked = sorted(token for token in unlike if token < self.proposable.stop)
        self._unlike = torch.tensor(masked, dtype=torch.int64, device=model.device)
        if target_ids is not None:
            n_different = len({*target_ids[1:]} & {*range(n_target_vocab)})
            if len(target_ids) != model.n_vocab or n_different != model.n_vocab - 1:
                raise VocabularyMismatchError(
                    f"draft {name!r}: its vocabulary must name {model.n_vocab} target ids, all but the "
                    f"first different and below {n_target_vocab}, got {len(target_ids)}"
                )
            self.proposable = slice(1, model.n_vocab)
            self._target_ids = torch.tensor(target_ids, device=model.device)
            self._draft_ids = torch.zeros(n_target_vocab, dtype=torch.int64, device=model.device)
            self.entry_ids = self._target_ids[1:]
            self._draft_ids[self._target_ids[1:]] = torch.arange(1, model.n_vocab, device=model.device)

    @classmethod
    def load(
        cls,
        model: str,
        target_tokenizer: Any,
        n_target_vocab: int,
        settings: ModelSettings = DEFAULT_SETTINGS,
        *,
        name: str | None = None,
    ) -> "DraftModel":
        """Load a draft by hub id, folder, GGUF file or `shipped:NAME`, if its tokens are the target's.

        The two tokenizers may differ in added tokens, such as `<think>`: ids that do not mean the same are never
        proposed.

        Its name is `draft_` and the last part of the model's, unless one is given.

        Raises:
            VocabularyMismatchError: if its tokenizer differs from the target's in more than added tokens.
            ValueError: if the model cannot be found or read.
        """
        folder, settings = resolve_settled(model, settings)
        target_ids, unlike = None, frozenset[int]()
        if (folder / VOCABULARY_FILE).exists():
            target_ids = read_vocabulary(folder, target_tokenizer)
        else:
            try:
                unlike = differing_ids(target_tokenizer, load_tokenizer(folder))
            except ValueError as error:
                raise VocabularyMismatchError(
                    f"draft {model!r}: its token ids do not mean what the target's do: {error}; name a draft of the "
                    "target's family or distil one"
                ) from error
        loaded = load_model(folder, settings)
        return cls(
            loaded, name=name or _name_of(model), n_target_vocab=n_target_vocab, target_ids=target_ids, unlike=unlike
        )

    def fingerprint(self) -> str:
        """Return a digest of the model and of what its ids mean."""
        unlike = self._unlike.tolist()
        ids = self._target_ids, self.proposable.stop, unlike
        return digest(
            type(self), self.model.fingerprint(), *ids, *([self.min_confidence] if self.min_confidence else [])
        )

    def open(self, prompt: Sequence[int], shared: SharedCache | None = None) -> DraftSession:
        """Make a session with its own cache row; the prompt is read at the first proposal."""
        together = shared if isinstance(self.model, Decoder) else None  # other models read consecutive rows only
        return _ModelSession(self, CacheRows.of(self, together, self.model.new_cache))

    def propose_batch(self, asks: Sequence[DraftAsk]) -> list[Answer]:
        """Draft for all requests in the same passes of the small model, catching up included."""
        sessions = [cast(_ModelSession, ask.session) for ask in asks]
        held = sessions[0].held
        if any(session.held is not held for session in sessions):  # each stands alone
            return super().propose_batch(asks)
        n_least = [read_at_least(ask, self.model.device) for ask in asks]
        missing = [session.cut(ask.prefix, n) for session, ask, n in zip(sessions, asks, n_least, strict=True)]

        def read(which: Sequence[int], token_ids: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
            batch = TokenBatch.in_rows(token_ids, counts, [sessions[i].row for i in which])
            ends = [end - 1 for end in accumulate(counts)]
            if isinstance(self.model, Decoder):  # told how many layers, it knows a round's pass, which may be a graph
                return self.model.forward(batch, held.cache, ends, len(self.model.layers)).logits
            return self.model.forward(batch, held.cache, ends).logits

        def catch_up() -> torch.Tensor:
            return read_missing(missing, self.model.device, lambda which, ids, n: read(which, self.to_draft(ids), n))

        found = propose_by_program(self, self.model, sessions, asks, missing)
        if found is None:
            found = propose_together(self, asks, [len(token_ids) for token_ids in missing], catch_up, read)
        for session, ask, proposal in zip(sessions, asks, found, strict=True):
            session.keep(proposal)
            session.n_shown = len(ask.prefix)
        return found

    def write(self, prompt: Sequence[int], n_tokens: int, eos_ids: Collection[int] = frozenset()) -> list[int]:
        """Return the draft's own greedy continuation of a prompt, as far as its context reaches."""
        return write_alone(self, prompt, n_tokens, eos_ids)

    def logits_along(self, prompt: Sequence[int], new: Sequence[int]) -> DraftLogits:
        """One pass over the text gives the distribution of each of its tokens."""
        return DraftLogits(torch.cat(list(self._along(prompt, new))), self.entry_ids)

    def trace(self, prompt: Sequence[int], new: Sequence[int], max_draft_length: int) -> DraftTrace:
        """One pass over the text tells where the draft's best token is the target's, and how sure it is."""
        best = [BestTokens.of(logits) for logits in self._along(prompt, new)]
        best = [replace(part, token_ids=self.to_target(self.own_ids(part.token_ids))) for part in best]
        found = trace_of_best(best, new, len(prompt), max_draft_length, self.model.max_positions)
        return self.stopped(found, prompt, new)

    def _along(self, prompt: Sequence[int], new: Sequence[int]) -> Iterator[torch.Tensor]:
        """Yield the allowed logits after each of the new tokens but the last, as far as the draft can continue."""
        n = min(len(prompt) + len(new), self.model.max_positions) - 1
        text = self.to_draft(torch.tensor([*prompt, *new][:n], device=self.model.device))
        cache = self.model.new_cache(1, n)

        def read(token_ids: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
            return self.model.forward(TokenBatch(token_ids, [len(token_ids)]), cache, rows).logits

        return (self.allowed(logits) for logits in read_along(text, len(prompt), read))

    def to_draft(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Map (n,) target ids to the draft's."""
        if self._target_ids is None:
            # Beyond the draft's vocabulary stand only padding ids, which a target might still write.
            return token_ids.clamp(max=self.model.n_vocab - 1)
        return self._draft_ids[token_ids]

    def to_target(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Map (n,) draft ids to the target's."""
        return token_ids if self._target_ids is None else self._target_ids[token_ids]

    def allowed(self, logits: torch.Tensor) -> torch.Tensor:
        """Cut (n, v) logits to the proposable tokens."""
        rows = logits[:, self.proposable]
        return rows.index_fill(1, self._unlike, -math.inf) if len(self._unlike) else rows

    def own_ids(self, entries: torch.Tensor) -> torch.Tensor:
        """Map (n,) entries of the allowed logits to the draft's ids."""
        return entries + self.proposable.start if self.proposable.start else entries


def _name_of(model: str) -> str:
    return f"draft_{re.split('[/:]', model)[-1]}"


def read_vocabulary(folder: Path, target_tokenizer: Any) -> list[int]:
    """Return the target's id of each id of a draft that was made for a target.

    Raises:
        VocabularyMismatchError: if that target had another tokenizer.
        ValueError: if the folder's vocabulary file is damaged.
    """
    file, expected = folder / VOCABULARY_FILE, tokenizer_fingerprint(target_tokenizer)
    try:
        vocabulary = json.loads(read_text(file))
        found, target_ids = str(vocabulary["tokenizer"]), [int(token) for token in vocabulary["target_ids"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{file} is not a draft's vocabulary file: {error!r}") from error
    if found != expected:
        raise VocabularyMismatchError(
            f"draft {folder} was made for tokenizer {found}, the target's is {expected}: their token "
            "ids mean different text; name a draft of the target's family or distil one"
        )
    return target_ids


class _ModelSession(RowSession):
    """The tokens that its row holds: those of the prefix last shown, then draft tokens."""

    def __init__(self, draft: DraftModel, held: CacheRows) -> None:
        super().__init__(held)
        self._draft = draft
        self.n_shown = 0  # tokens of the prefix last shown, all in the cache

    def propose(self, prefix: Sequence[int], draft_length: int, sampler: TokenSampler = GREEDY) -> Proposal:
        [found] = self._draft.propose_batch([DraftAsk(self, prefix, draft_length, sampler)])
        return proposal_of(found)

    def cut(self, prefix: Sequence[int], n_least: int) -> Sequence[int]:
        """Forget what holds no longer, and return the tokens that are missing, at least so many where there are."""
        n_shared = max(0, min(self._n_shared(prefix), len(prefix) - n_least))
        self.held.cache.truncate(self.row, n_shared)
        return prefix[n_shared:]

    def _n_shared(self, prefix: Sequence[int]) -> int:
        """Length of the cached part that still holds; at least the last token is always read again."""
        found = self.found.found if isinstance(self.found, UnreadProposal) else self.found
        drafted = found.token_ids if isinstance(found, Proposal) else []
        limit = min(self.held.cache.lengths[self.row], self.n_shown + len(drafted), len(prefix) - 1)
        n_shared = min(limit, self.n_shown)  # a token once shown is never taken back: only draft tokens are rejected
        while n_shared < limit and drafted[n_shared - self.n_shown] == prefix[n_shared]:
            n_shared += 1
        return n_shared
