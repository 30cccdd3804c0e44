"""From a query to the token ids that a target reads."""

from collections.abc import Mapping
from typing import Any

from arms import Query

_OWN = ("tokenize", "add_generation_prompt", "continue_final_message", "return_dict", "return_tensors", "conversation")


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
        ValueError: if the chat template refuses the messages, for example a role it does not know, or there is none and
            one is needed.
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
        chat = tokenizer.apply_chat_template(
            messages,
            add_generation_prompt=not go_on,
            continue_final_message=go_on,
            return_dict=True,
            **variables,
        )
        return tuple(chat["input_ids"])
    except Exception as error:  # a template is a program of the checkpoint's
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"query {query.id!r} does not suit the chat template of the target: {reason}") from error


def _plain(tokenizer: Any, query: Query) -> tuple[int, ...]:
    token_ids = tuple(tokenizer(query.text)["input_ids"])
    first = tokenizer.bos_token_id
    return token_ids[1:] if first is not None and token_ids[:2] == (first, first) else token_ids


def unshown_texts(tokenizer: Any) -> dict[int, str]:
    """Return the text of each token that decoding without special tokens leaves out, by id."""
    special = {token_id: str(token) for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
    return special | dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
