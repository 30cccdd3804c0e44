"""The large model whose text is kept, with its tokenizer."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from arms import Query
from arms.fingerprint import digest
from speculative.engine.engine import Engine
from speculative.engine.text_stream import check_stop
from speculative.models.loading import load_model
from speculative.models.settings import DEFAULT_SETTINGS, ModelSettings
from speculative.models.sources import resolve_model
from speculative.models.tokenizer import load_tokenizer, tokenizer_fingerprint
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.draft import DraftingArm
from speculative.protocols.request import Request, check_length
from speculative.protocols.selector import Selector
from speculative.sampling.sampling_params import SamplingParams

GREEDY = SamplingParams()


@dataclass(frozen=True, slots=True)
class Target:
    """A loaded target.

    Attributes:
        name: what it was loaded by: a hub id, a folder, a GGUF file or `package:NAME`.
        folder: the checkpoint it was read from.
        model: draftpick's own decoder, or transformers' model behind an adapter where the decoder does not know it.
        tokenizer: its transformers tokenizer.
        max_new_tokens: length of an answer where a query sets none.
        max_batch: most queries answered at once, where many are asked.
        eos_ids: tokens that end a text; `load` takes all that the checkpoint and its tokenizer name.
        n_tokens: ids from here on are padding of the model's vocabulary and mean no text; None for no padding.
        settings: how the model is held; draft models are held the same way.
    """

    name: str
    folder: Path
    model: CausalLM
    tokenizer: Any
    max_new_tokens: int = 128
    max_batch: int = 8
    eos_ids: tuple[int, ...] = ()
    n_tokens: int | None = None
    settings: ModelSettings = DEFAULT_SETTINGS

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
        on_cpu = torch.device(settings.device).type == "cpu"
        # a row at 4 bits costs time of its own
        min_rows = 4 if on_cpu and settings.dtype == torch.float32 and settings.weights == "dense" else 1
        folder = resolve_model(name, settings.cache)
        model, tokenizer = load_model(folder, settings, min_rows=min_rows), load_tokenizer(folder)
        n_tokens = min(model.n_vocab, 1 + max(tokenizer.get_vocab().values()))
        eos_ids = read_eos_ids(folder, tokenizer)
        return cls(name, folder, model, tokenizer, max_new_tokens, max_batch, eos_ids, n_tokens, settings)

    def fingerprint(self) -> str:
        """Return a digest of all that its answers depend on: model, tokenizer, chat template, where a text ends."""
        words = tokenizer_fingerprint(self.tokenizer), self.tokenizer.chat_template
        return digest(self.model.fingerprint(), words, self.eos_ids, self.n_tokens, self.max_new_tokens)

    def engine(
        self,
        arms: Collection[DraftingArm],
        selector: Selector | None = None,
        *,
        max_batch: int = 1,
        decode: bool = False,
        batch_invariant: bool = False,
    ) -> Engine:
        """Return an engine that writes this target's text; arguments as there, `decode` with the target's tokenizer.

        Raises:
            ValueError: see `Engine`.
        """
        return Engine(
            self.model,
            arms,
            selector,
            max_batch=max_batch,
            n_tokens=self.n_tokens,
            decode=self.text if decode else None,
            batch_invariant=batch_invariant,
        )

    def request(self, query: Query, sampling: SamplingParams = GREEDY, stop: Sequence[str] = ()) -> Request:
        """Token ids under the chat template (plain text where the tokenizer has none), and when to stop.

        Args:
            query: what is asked.
            sampling: how the answer's tokens are picked.
            stop: strings that end the answer, beside the `eos_ids`.

        Raises:
            ValueError: if the chat template refuses the messages, for example a role it does not know, or a stop
                string is empty.
            TypeError: if `stop` is one string.
        """
        check_stop(stop)
        return Request(
            id=query.id,
            token_ids=self._token_ids(query),
            max_new_tokens=query.max_new_tokens or self.max_new_tokens,
            eos_ids=self.eos_ids,
            text=query.text,
            sampling=sampling,
            stop=tuple(stop),
        )

    def _token_ids(self, query: Query) -> tuple[int, ...]:
        from jinja2 import TemplateError

        if self.tokenizer.chat_template is None:
            return tuple(self.tokenizer(query.text)["input_ids"])
        try:
            chat = self.tokenizer.apply_chat_template(query.chat(), add_generation_prompt=True, return_dict=True)
        except TemplateError as error:
            raise ValueError(f"query {query.id!r} does not suit the chat template of {self.name!r}: {error}") from error
        return tuple(chat["input_ids"])

    def check(self, queries: Sequence[Query]) -> None:
        """Refuse, before any work is done, what could not all be answered.

        Raises:
            ValueError: if there is no query, ids repeat, or a prompt and its answer exceed the context.
        """
        if not queries:
            raise ValueError("there must be at least one query, got none")
        query_id, n = Counter(query.id for query in queries).most_common(1)[0]
        if n > 1:
            raise ValueError(f"query ids must be unique, got {query_id!r} {n} times")
        for query in queries:
            check_length(self.request(query), self.model.max_positions)

    def text(self, token_ids: Sequence[int]) -> str:
        """Decode new tokens, special ones left out."""
        return str(self.tokenizer.decode(list(token_ids), skip_special_tokens=True))


def read_eos_ids(folder: Path, tokenizer: Any) -> tuple[int, ...]:
    """Tokens that end a text: those at which transformers' `generate` stops, and the tokenizer's own.

    Args:
        folder: a checkpoint. Its `generation_config.json` counts or, where that names none, its `config.json`.
        tokenizer: its transformers tokenizer.

    Returns:
        Ids in the order found, each once; none where nobody names any.

    Raises:
        ValueError: if a file is not JSON, or its `eos_token_id` neither an id nor a list of ids.
    """
    found: list[int] = []
    for name in ("generation_config.json", "config.json"):
        found = _eos_ids_of(folder / name)
        if found:
            break
    own = tokenizer.eos_token_id
    return tuple(dict.fromkeys([*found, *([] if own is None else [own])]))


def _eos_ids_of(file: Path) -> list[int]:
    if not file.is_file():
        return []
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from error
    value = settings.get("eos_token_id") if isinstance(settings, dict) else None
    ids = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(token, int) and not isinstance(token, bool) and token >= 0 for token in ids):
        raise ValueError(f"{file}: eos_token_id must be an id >= 0 or a list of such ids, got {value!r}")
    return ids
