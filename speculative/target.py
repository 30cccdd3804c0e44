"""The large model whose text is kept, with its tokenizer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from arms import Query
from speculative.engine.decoder import Decoder
from speculative.engine.loading import DEFAULT_CACHE, load_decoder, load_tokenizer, resolve_model
from speculative.engine.request import Request, check_length


@dataclass(frozen=True, slots=True)
class Target:
    """A loaded target.

    Attributes:
        name: what it was loaded by: a hub id, a folder, a GGUF file or `package:NAME`.
        folder: the checkpoint it was read from.
        model: the decoder.
        tokenizer: its transformers tokenizer.
        max_new_tokens: length of an answer where a query sets none.
    """

    name: str
    folder: Path
    model: Decoder
    tokenizer: Any
    max_new_tokens: int = 128

    @classmethod
    def load(
        cls,
        name: str,
        *,
        max_new_tokens: int = 128,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        cache: Path = DEFAULT_CACHE,
    ) -> Self:
        """Load model and tokenizer.

        Raises:
            ValueError: if the model cannot be found or read, or is of a family the decoder does not know.
        """
        min_rows = 4 if dtype == torch.float32 and torch.device(device).type == "cpu" else 1
        model = load_decoder(name, dtype=dtype, device=device, cache=cache, min_rows=min_rows)
        return cls(name, resolve_model(name, cache), model, load_tokenizer(name, cache), max_new_tokens)

    def request(self, query: Query) -> Request:
        """Token ids under the chat template (plain text where the tokenizer has none), and when to stop.

        Raises:
            ValueError: if the chat template refuses the messages, for example a role it does not know.
        """
        eos = self.tokenizer.eos_token_id
        return Request(
            id=query.id,
            token_ids=self._token_ids(query),
            max_new_tokens=query.max_new_tokens or self.max_new_tokens,
            eos_ids=() if eos is None else (eos,),
            text=query.text,
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
