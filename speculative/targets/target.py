"""The large model whose text is kept, with its tokenizer."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from arms import Query
from arms.checks import at_least
from arms.fingerprint import digest
from bandits import Policy
from speculative.engine import generate as loops
from speculative.engine.engine import Engine
from speculative.engine.settings import EngineSettings
from speculative.models.loading import load_model, resolve_settled
from speculative.models.settings import DEFAULT_SETTINGS, ModelSettings
from speculative.models.tokenizer import load_tokenizer, tokenizer_fingerprint
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.drafting_rule import EngineArm
from speculative.protocols.request import Generation, Request, check_length
from speculative.protocols.selector import Selector
from speculative.sampling.sampling_params import SamplingParams
from speculative.targets.drafting import Drafting, arms_and_selector
from speculative.targets.eos_ids import join_eos_ids, read_eos_ids
from speculative.targets.prompts import Prompt, as_query
from speculative.targets.rendering import PLAIN, Rendering, check_variables, render, unshown_texts

GREEDY = SamplingParams()
_PREFIX_CACHE_MB = 512


@dataclass(frozen=True, slots=True)
class Target:
    """A loaded target.

    Attributes:
        name: what it was loaded by: a hub id, a folder, a GGUF file or `package:NAME`.
        folder: the checkpoint it was read from; None for a model that was in memory.
        model: draftpick's own decoder, or transformers' model behind an adapter where the decoder does not know it.
        tokenizer: its transformers tokenizer.
        max_new_tokens: length of an answer where a query sets none.
        max_batch: most queries answered at once, where many are asked.
        eos_ids: tokens that end a text; `load` takes all that the checkpoint and its tokenizer name.
        n_tokens: ids from here on are padding of the model's vocabulary and mean no text; None for no padding.
        settings: how the model is held; draft models are held the same way.
        prefix_cache_mb: see `prefix_cache_bytes`; None for the default.
        chat_template_kwargs: variables of the chat template where a `Rendering` sets none of the same names.

    Raises:
        ValueError: if a number is out of range, or the chat template does not read one of the variables.
    """

    name: str
    folder: Path | None
    model: CausalLM
    tokenizer: Any
    max_new_tokens: int = 128
    max_batch: int = 8
    eos_ids: tuple[int, ...] = ()
    n_tokens: int | None = None
    settings: ModelSettings = DEFAULT_SETTINGS
    prefix_cache_mb: int | None = None
    chat_template_kwargs: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at_least(self.max_new_tokens, 1, "max_new_tokens")
        at_least(self.max_batch, 1, "max_batch")
        if self.n_tokens is not None:
            at_least(self.n_tokens, 1, "n_tokens")
        if self.prefix_cache_mb is not None:
            at_least(self.prefix_cache_mb, 0, "prefix_cache_mb")
        check_variables(self.tokenizer, Rendering(self.chat_template_kwargs))

    @classmethod
    def load(
        cls, name: str, settings: ModelSettings = DEFAULT_SETTINGS, *, max_new_tokens: int = 128, max_batch: int = 8
    ) -> Self:
        """Load model and tokenizer.

        Args:
            name: a hub id, a folder, a GGUF file or `package:NAME`.
            settings: dtype, device and precision of the weights. Weights at 4 bits are faster and write a text of
                their own.
            max_new_tokens: length of an answer where a query sets none.
            max_batch: most queries answered at once.

        Raises:
            ValueError: if the model cannot be found or read, is no causal LM, or names tokens that end a text by
                anything but ids.
        """
        folder, settled = resolve_settled(name, settings)
        model, tokenizer = load_model(folder, settled), load_tokenizer(folder)
        n_tokens = min(model.n_vocab, 1 + max(tokenizer.get_vocab().values()))
        eos_ids = read_eos_ids(folder, tokenizer)
        held = replace(settings, dtype=settled.dtype, weights=settled.weights)
        return cls(name, folder, model, tokenizer, max_new_tokens, max_batch, eos_ids, n_tokens, held)

    @classmethod
    def of(
        cls, model: Any, tokenizer: Any, *, name: str | None = None, max_new_tokens: int = 128, max_batch: int = 8
    ) -> Self:
        """Take a transformers model that is in memory: quantised, adapted, sharded, as it is.

        transformers computes it; `load` uses draftpick's own decoder where it knows the family, which is faster.

        Args:
            model: a causal LM, switched to evaluation.
            tokenizer: its transformers tokenizer.
            name: what data and policies are marked with; the name that the model was loaded by, by default.
            max_new_tokens: length of an answer where a query sets none.
            max_batch: most queries answered at once.

        Raises:
            ValueError: if the model has an encoder, or no output head or cache of its own.
        """
        from speculative.models.adapters.transformers_lm import TransformersLM

        adapted = TransformersLM(model)
        eos_ids = join_eos_ids(getattr(model.generation_config, "eos_token_id", None), tokenizer)
        n_tokens = min(adapted.n_vocab, 1 + max(tokenizer.get_vocab().values()))
        held = ModelSettings(dtype=adapted.dtype, device=adapted.device)
        named = name or str(getattr(model, "name_or_path", "")) or type(model).__name__
        return cls(named, None, adapted, tokenizer, max_new_tokens, max_batch, eos_ids, n_tokens, held)

    def generate(
        self,
        prompt: Prompt,
        *,
        draft: Drafting | None = None,
        draft_length: int | None = None,
        policy: Policy | Selector | None = None,
        sampling: SamplingParams = GREEDY,
        rendering: Rendering = PLAIN,
    ) -> Generation:
        """Answer a prompt with the target's own text, helped by a draft or not.

        Args:
            prompt: a text, chat messages, or a `Query`.
            draft: what proposes tokens: a draft, or a name of `DRAFTS` that needs no settings; None for the target
                alone. With `policy`, the arms that it chooses among: `SpeculativeArm`s with the policy's names.
            draft_length: most tokens that one draft proposes a round; 5 by default.
            policy: fitted on contexts of `HiddenStateEncoder(target)`; its choice is drawn with the sampling's seed, 0
                by default. Or a selector, such as a `PolicySelector` with another encoder.
            sampling: how tokens are picked, and where the answer ends; greedy by default, as long as the query or the
                target says.
            rendering: what the chat template is told beside the messages: its variables, tools, whether the answer
                continues the last message.

        Returns:
            The answer: `.text`, `.token_ids`, why it `.finished`, and `.stats` (seconds, tokens accepted).

        Raises:
            ValueError: if the prompt is blank or does not fit the context, the draft has no such name or cannot draft
                for this target, the draft length is not >= 1, arms come without a policy or a policy without arms, or
                the policy learned from other arms or another encoder.
        """
        request = self.request(as_query(prompt), sampling, rendering)
        arms, selector = arms_and_selector(self, draft, draft_length, policy, sampling.seed or 0)
        return loops.generate(self.engine(arms, selector, decode=True), [request])[0]

    def stream(
        self,
        prompt: Prompt,
        *,
        draft: Drafting | None = None,
        draft_length: int | None = None,
        policy: Policy | Selector | None = None,
        sampling: SamplingParams = GREEDY,
        rendering: Rendering = PLAIN,
    ) -> Iterator[str]:
        """Yield the answer's text as it grows; arguments and errors as in `generate`."""
        request = self.request(as_query(prompt), sampling, rendering)
        arms, selector = arms_and_selector(self, draft, draft_length, policy, sampling.seed or 0)
        engine = self.engine(arms, selector, decode=True)
        return (result.text for result in loops.stream(engine, request) if result.text)

    @property
    def prefix_cache_bytes(self) -> int:
        """Most memory that an engine for conversations keeps of what it has read; see `EngineSettings`."""
        if self.prefix_cache_mb is None:
            return _PREFIX_CACHE_MB * 1_000_000 if self.model.can_roll_back else 0
        return self.prefix_cache_mb * 1_000_000

    def fingerprint(self) -> str:
        """Return a digest of all that its answers depend on: model, tokenizer, chat template, where a text ends."""
        words = tokenizer_fingerprint(self.tokenizer), self.tokenizer.chat_template
        variables = sorted(self.chat_template_kwargs.items())
        return digest(self.model.fingerprint(), words, self.eos_ids, self.n_tokens, self.max_new_tokens, variables)

    def engine(
        self,
        arms: Collection[EngineArm],
        selector: Selector | None = None,
        *,
        max_batch: int = 1,
        decode: bool = False,
        batch_invariant: bool = False,
        prefix_cache_bytes: int = 0,
    ) -> Engine:
        """Return an engine that writes this target's text; arguments as there, `decode` with the target's tokenizer.

        Raises:
            ValueError: see `Engine`.
        """
        settings = EngineSettings(
            max_batch=max_batch,
            n_tokens=self.n_tokens,
            decode=self.text if decode else None,
            unshown=unshown_texts(self.tokenizer) if decode else {},
            batch_invariant=batch_invariant,
            prefix_cache_bytes=prefix_cache_bytes,
        )
        return Engine(self.model, arms, selector, settings=settings)

    def request(
        self,
        query: Query,
        sampling: SamplingParams = GREEDY,
        rendering: Rendering = PLAIN,
    ) -> Request:
        """Token ids under the chat template (plain text where the tokenizer has none), and when to stop.

        Args:
            query: what is asked.
            sampling: how the answer's tokens are picked, and where it ends beside the `eos_ids`.
            rendering: what the chat template is told beside the messages.

        Raises:
            ValueError: if the chat template refuses the messages, for example a role it does not know, or reads no such
                variable.
        """
        variables = {**self.chat_template_kwargs, **rendering.chat_template_kwargs}
        return Request(
            id=query.id,
            token_ids=render(self.tokenizer, query, replace(rendering, chat_template_kwargs=variables)),
            max_new_tokens=sampling.max_new_tokens or query.max_new_tokens or self.max_new_tokens,
            eos_ids=self.eos_ids,
            text=query.text,
            sampling=sampling,
        )

    def fit(self, request: Request) -> Request:
        """Return the request with as many of its prompt's last tokens as leave room for the answer.

        Raises:
            ValueError: if the answer alone does not fit the context.
        """
        room = self.model.max_positions - request.max_new_tokens
        if room < 1:
            check_length(request, self.model.max_positions)
        return replace(request, token_ids=request.token_ids[-room:])

    def check(self, queries: Sequence[Query], sampling: SamplingParams = GREEDY, rendering: Rendering = PLAIN) -> None:
        """Refuse, before any work is done, what could not all be answered; arguments as in `request`.

        Raises:
            ValueError: if there is no query, ids repeat, or a prompt and its answer exceed the context.
        """
        self.check_ids(queries)
        for query in queries:
            check_length(self.request(query, sampling, rendering), self.model.max_positions)

    def check_ids(self, queries: Sequence[Query]) -> None:
        """Refuse no queries, and two of one id.

        Raises:
            ValueError: naming the id.
        """
        if not queries:
            raise ValueError("there must be at least one query, got none")
        query_id, n = Counter(query.id for query in queries).most_common(1)[0]
        if n > 1:
            raise ValueError(f"query ids must be unique, got {query_id!r} {n} times")

    def text(self, token_ids: Sequence[int]) -> str:
        """Decode new tokens, special ones left out."""
        return str(self.tokenizer.decode(list(token_ids), skip_special_tokens=True))
