"""A request of OpenAI's API, checked once where it enters the program."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from speculative.serving.prefix_cache import blocks_of
from speculative.serving.problem import Problem

Endpoint = Literal["chat/completions", "completions"]

NO_TEXT = "(no text)"
"""What an encoder reads of a request that holds images or token ids only."""

MOST_TEXT = 65_536
"""Characters that an encoder reads, the last ones: a context must not take longer than the answer."""

MOST_DOMAIN = 64
"""Characters of a domain, which is a label and no text."""

_Tokens = Annotated[int, Field(ge=1, strict=True)]


class _StreamOptions(BaseModel):
    model_config = ConfigDict(extra="allow")

    include_usage: bool | None = None


class _Body(BaseModel):
    """The fields whose meaning the front door relies on; all others are the engine's to judge."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    stream: Annotated[bool, Field(strict=True)] | None = None
    stream_options: _StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128, strict=True)] | None = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    seed: Annotated[int, Field(strict=True)] | None = None
    stop: str | list[str] | None = None
    temperature: Annotated[float, Field(ge=0, strict=True)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, strict=True)] | None = None


class _ChatBody(_Body):
    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]


class _TextBody(_Body):
    prompt: Annotated[str | list[Any], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What a client asks for.

    Attributes:
        endpoint: below /v1/.
        body: as it came; fields that are not checked here are passed on.
        text: what a context encoder reads.
        stream: whether tokens are sent as they come.
        include_usage: whether a stream is to end with a chunk of usage.
        max_tokens: most tokens of all answers together, where the client sets a limit.
        prefix: the blocks of all its text, from `blocks_of`.
        domain: what kind of request it is, from `metadata`; None where the client does not say.
    """

    endpoint: Endpoint
    body: Mapping[str, object]
    text: str
    stream: bool
    include_usage: bool
    max_tokens: int | None
    prefix: Sequence[int] = ()
    domain: str | None = None


def read_request(endpoint: Endpoint, raw: bytes, model: str) -> CompletionRequest:
    """Check a request's body.

    Args:
        endpoint: where it was sent to.
        raw: the body.
        model: the name that this service answers to.

    Raises:
        Problem: 400 with the field's name, or 404 for another model.
    """
    body = _json_object(raw)
    try:
        read = (_ChatBody if endpoint == "chat/completions" else _TextBody).model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"] if part != "str" and not str(part).startswith("list["))
        raise Problem(400, f"{field}: {first['msg']}", field) from error
    if read.model not in (None, model):
        raise Problem(404, f"model must be {model!r}, got {read.model!r:.200}", "model")
    if None not in (read.max_tokens, read.max_completion_tokens) and read.max_tokens != read.max_completion_tokens:
        raise Problem(
            400, "max_tokens and max_completion_tokens must agree, or one be left out", "max_completion_tokens"
        )
    if read.stream_options is not None and not read.stream:
        raise Problem(400, "stream_options needs stream = true", "stream_options")
    text = _text_of(body.get("messages" if endpoint == "chat/completions" else "prompt"))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        field = "messages" if endpoint == "chat/completions" else "prompt"
        raise Problem(400, f"{field} must be whole characters: {error.reason} at {error.start}", field) from error
    most = read.max_completion_tokens or read.max_tokens
    return CompletionRequest(
        endpoint=endpoint,
        body=body,
        text=text[-MOST_TEXT:] if text[-MOST_TEXT:].strip() else NO_TEXT,
        stream=bool(read.stream),
        include_usage=bool(read.stream_options and read.stream_options.include_usage),
        max_tokens=None if most is None else most * (read.n or 1),
        prefix=blocks_of(text),
        domain=_domain(body.get("metadata")),
    )


def _domain(metadata: object) -> str | None:
    """Return the domain that a client names; other metadata are not read."""
    domain = metadata.get("domain") if isinstance(metadata, Mapping) else None
    if domain is not None and not (isinstance(domain, str) and 0 < len(domain) <= MOST_DOMAIN and domain.isprintable()):
        rule = f"a label of 1 to {MOST_DOMAIN} printable characters"
        raise Problem(400, f"metadata.domain must be {rule}, got {domain!r:.100}", "metadata.domain")
    return domain


def _json_object(raw: bytes) -> dict[str, object]:
    try:
        body = json.loads(raw, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body must be one JSON object in UTF-8 ({error})") from error
    if not isinstance(body, dict):
        raise Problem(400, f"the body must be one JSON object, got a {type(body).__name__}")
    return body


def _not_json(name: str) -> float:
    raise ValueError(f"{name} is no JSON value")


def _text_of(part: object) -> str:
    """Return the texts in messages or prompts, one below the other; images and token ids say nothing."""
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        return _text_of(part.get("content") if "content" in part else part.get("text"))
    if isinstance(part, list):
        return "\n".join(text for one in part if (text := _text_of(one)))
    return ""
