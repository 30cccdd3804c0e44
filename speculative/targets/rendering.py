"""From a query to the token ids that a target reads."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from arms import Query
from speculative.targets.bounded_template import chat_template

_OWN = {"messages", "add_generation_prompt", "tools"}  # variables of a template that are said otherwise
_OPEN = "<<the answer goes on here>> "


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a chat template is told beside the messages.

    Attributes:
        chat_template_kwargs: variables of the template, such as `{"enable_thinking": False}`; where the target has some
            of its own, those of the same names are replaced.
        tools: what the model may call, each a JSON schema as transformers' templates take it.
        continue_final_message: leave the last message open, which is the assistant's, so that the answer continues it.

    Raises:
        TypeError: if a value is of another type.
    """

    chat_template_kwargs: Mapping[str, object] = field(default_factory=dict)
    tools: Sequence[Mapping[str, object]] = ()
    continue_final_message: bool = False

    def __post_init__(self) -> None:
        variables, tools = self.chat_template_kwargs, self.tools
        if not isinstance(variables, Mapping) or not all(isinstance(name, str) for name in variables):
            raise TypeError(f"chat_template_kwargs must map names to values, got {variables!r}")
        if not isinstance(tools, list | tuple) or not all(isinstance(tool, Mapping) for tool in tools):
            raise TypeError(f"tools must be a sequence of JSON schemas, got {tools!r}")
        if not isinstance(self.continue_final_message, bool):
            raise TypeError(f"continue_final_message must be True or False, got {self.continue_final_message!r}")


PLAIN = Rendering()


def check_variables(tokenizer: Any, rendering: Rendering) -> None:
    """Refuse variables and tools that the chat template does not read, which would change nothing.

    Raises:
        ValueError: naming the variable, or that there is no template.
    """
    variables, tools = rendering.chat_template_kwargs, rendering.tools
    if tokenizer.chat_template is None:
        if variables or tools or rendering.continue_final_message:
            raise ValueError(
                "chat_template_kwargs, tools and continue_final_message need a chat template, and the target's "
                "tokenizer has none"
            )
    elif variables or tools:
        source = tokenizer.get_chat_template(tools=list(tools) or None)
        try:
            read = chat_template(source).variables
        except Exception as error:  # a template is a program of the checkpoint's
            raise ValueError(f"the target's chat template cannot be read: {type(error).__name__}: {error}") from error
        for name in sorted(variables.keys() - (read - _OWN)):
            raise ValueError(f"chat_template_kwargs must be variables that the chat template reads, got {name!r}")
        if tools and "tools" not in read:
            raise ValueError("the target's chat template reads no tools: leave them out, or describe them in a message")


def render(tokenizer: Any, query: Query, rendering: Rendering = PLAIN) -> tuple[int, ...]:
    """Return a query's token ids under the chat template; plain text where the tokenizer has none.

    A plain text that begins with the tokenizer's own first token, as an already rendered one does, gets no second one.
    Special tokens that stand in a text are read as what they are, as transformers reads them.

    Args:
        tokenizer: the target's transformers tokenizer.
        query: what is asked.
        rendering: what the chat template is told beside the messages.

    Raises:
        ValueError: if the chat template refuses the messages, for example a role it does not know, or goes beyond a
            limit of `ChatTemplate`, or there is none and one is needed.
    """
    check_variables(tokenizer, rendering)
    if tokenizer.chat_template is None:
        return _plain(tokenizer, query)
    messages, go_on = query.chat(), rendering.continue_final_message
    if go_on and messages[-1]["role"] != "assistant":
        role = messages[-1]["role"]
        raise ValueError(
            f"query {query.id!r}: continue_final_message needs a last message of role 'assistant', got {role!r}"
        )
    try:
        text = _chat(tokenizer, messages, rendering)
    except Exception as error:  # a template is a program of the checkpoint's
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"query {query.id!r} does not suit the chat template of the target: {reason}") from error
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def _chat(tokenizer: Any, messages: Sequence[Mapping[str, str]], rendering: Rendering) -> str:
    """Return the text that transformers' `apply_chat_template` returns, within the limits of `ChatTemplate`."""
    tools, go_on = list(rendering.tools) or None, rendering.continue_final_message
    source = tokenizer.get_chat_template(tools=tools)
    chat = [dict(message) for message in messages]
    mark = _OPEN
    while any(mark.strip() in message["content"] for message in messages):
        mark = f"<{mark}"
    if go_on:
        chat[-1]["content"] += mark
    given = json.loads(json.dumps({"tools": tools, "documents": None, **rendering.chat_template_kwargs}))
    given = {**tokenizer.special_tokens_map, **given, "messages": chat, "add_generation_prompt": not go_on}
    text = chat_template(source).render(given)
    if not go_on:
        return text
    kept, found, rest = text.partition(mark.strip())
    if not found or mark.strip() in rest or messages[-1]["content"].strip() not in kept:
        raise ValueError("it does not show the last message once, as it is, which the answer would continue")
    return kept if rest.startswith(" ") else kept.rstrip()  # it strips a message


def _plain(tokenizer: Any, query: Query) -> tuple[int, ...]:
    token_ids = tuple(tokenizer(query.text)["input_ids"])
    first = tokenizer.bos_token_id
    return token_ids[1:] if first is not None and token_ids[:2] == (first, first) else token_ids


def unshown_texts(tokenizer: Any) -> dict[int, str]:
    """Return the text of each token that decoding without special tokens leaves out, by id."""
    special = {token_id: str(token) for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
    return special | dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
