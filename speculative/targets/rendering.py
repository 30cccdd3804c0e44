"""From a query to the token ids that a target reads."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from arms import Query
from speculative.targets.bounded_template import chat_template

_OWN = ("tokenize", "add_generation_prompt", "continue_final_message", "return_dict", "return_tensors", "conversation")
_OPEN = "<<the answer goes on here>> "


def render(
    tokenizer: Any,
    query: Query,
    chat_template_kwargs: Mapping[str, object] | None = None,
    *,
    go_on: bool = False,
) -> tuple[int, ...]:
    """Return a query's token ids under the chat template; plain text where the tokenizer has none.

    A plain text that begins with the tokenizer's own first token, as an already rendered one does, gets no second one.
    Special tokens that stand in a text are read as what they are, as transformers reads them.

    Args:
        tokenizer: the target's transformers tokenizer.
        query: what is asked.
        chat_template_kwargs: variables of the chat template.
        go_on: leave the last message open, which is the assistant's, so that the answer continues it.

    Raises:
        ValueError: if the chat template refuses the messages, for example a role it does not know, or goes beyond a
            limit of `ChatTemplate`, or there is none and one is needed.
    """
    variables = dict(chat_template_kwargs or {})
    taken = [name for name in variables if name in _OWN]
    if taken:
        raise ValueError(f"chat_template_kwargs must be variables of the template, got {taken[0]!r}")
    if tokenizer.chat_template is None:
        if variables or go_on:
            raise ValueError(
                f"query {query.id!r}: chat_template_kwargs and continue_final_message need a chat template, and the "
                "target's tokenizer has none"
            )
        return _plain(tokenizer, query)
    messages = query.chat()
    if go_on and messages[-1]["role"] != "assistant":
        role = messages[-1]["role"]
        raise ValueError(
            f"query {query.id!r}: continue_final_message needs a last message of role 'assistant', got {role!r}"
        )
    try:
        text = _chat(tokenizer, messages, json.loads(json.dumps(variables)), go_on=go_on)
    except Exception as error:  # a template is a program of the checkpoint's
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"query {query.id!r} does not suit the chat template of the target: {reason}") from error
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def _chat(
    tokenizer: Any, messages: Sequence[Mapping[str, str]], variables: Mapping[str, object], *, go_on: bool
) -> str:
    """Return the text that transformers' `apply_chat_template` returns, within the limits of `ChatTemplate`."""
    source = tokenizer.get_chat_template(tools=variables.get("tools"))
    chat = [dict(message) for message in messages]
    if go_on:
        chat[-1]["content"] += _OPEN
    given = {"tools": None, "documents": None, **tokenizer.special_tokens_map, **variables}
    text = chat_template(source).render(given | {"messages": chat, "add_generation_prompt": not go_on})
    if not go_on:
        return text
    kept, mark, rest = text.rpartition(_OPEN.strip())
    if not mark or messages[-1]["content"].strip() not in kept:
        raise ValueError("it does not show the last message as it is, which the answer would continue")
    return kept if rest.startswith(" ") else kept.rstrip()  # it strips a message


def _plain(tokenizer: Any, query: Query) -> tuple[int, ...]:
    token_ids = tuple(tokenizer(query.text)["input_ids"])
    first = tokenizer.bos_token_id
    return token_ids[1:] if first is not None and token_ids[:2] == (first, first) else token_ids


def unshown_texts(tokenizer: Any) -> dict[int, str]:
    """Return the text of each token that decoding without special tokens leaves out, by id."""
    special = {token_id: str(token) for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
    return special | dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
