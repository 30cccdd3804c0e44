"""OpenAI's request as one of the engine's: what it means here, and a refusal by name of what it cannot."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from arms import Query
from speculative.protocols.request import Request
from speculative.sampling.sampling_params import SamplingParams
from speculative.serving.completion_request import CompletionRequest
from speculative.serving.problem import Problem
from speculative.targets.target import Target

_SAMPLING = ("top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty")
_READ = (
    *("model", "messages", "prompt", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens"),
    *("stop", "temperature", "logit_bias", "user", "metadata", "store", *_SAMPLING),
)
_SAYS_NOTHING: Mapping[str, tuple[object, ...]] = {
    "logprobs": (False,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "echo": (False,),
    "best_of": (1,),
    "suffix": ("",),
    "parallel_tool_calls": (True, False),
    "service_tier": ("auto", "default"),
}
"""Values of further fields that ask for nothing."""


def engine_request(target: Target, request: CompletionRequest) -> Request:
    """Return what the engine is asked.

    Args:
        target: answers.
        request: as a client sent it.

    Raises:
        Problem: 400 with the name of a field that the engine cannot serve, or whose value breaks its rule.
        ValueError: if the chat template refuses the messages.
    """
    body = request.body
    for field, value in body.items():
        if field not in _READ and value is not None and value not in _SAYS_NOTHING.get(field, ()):
            raise Problem(400, f"{field} is not supported by this engine, got {value!r:.100}: leave it out", field)
    if body.get("n") not in (None, 1):
        raise Problem(400, f"n must be 1 with this engine, got {body['n']}", "n")
    return target.request(_query(request), _sampling(body, request.max_tokens))


def _query(request: CompletionRequest) -> Query:
    name = f"r-{secrets.token_hex(8)}"
    field = "messages" if request.endpoint == "chat/completions" else "prompt"
    asked = request.body[field]
    try:
        if field == "messages":
            return Query.model_validate({"id": name, "messages": _messages(asked)})
        if not isinstance(asked, str):
            raise Problem(400, "prompt must be one string with this engine", field)
        return Query(id=name, prompt=asked)
    except ValidationError as error:
        first = error.errors()[0]
        raise Problem(400, f"{field}: {first['msg'].removeprefix('Value error, ')}", field) from error


def _messages(asked: object) -> list[dict[str, object]]:
    """Return role and text of each message; parts of text are put together."""
    found: list[dict[str, object]] = []
    for message in asked if isinstance(asked, list) else ():
        further = [key for key, value in message.items() if key not in ("role", "content", "name", "refusal") and value]
        if further:
            raise Problem(400, f"messages: {further[0]} is not supported by this engine", "messages")
        content = message.get("content")
        if isinstance(content, list):
            if not all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
                raise Problem(400, "messages: content must be text with this engine", "messages")
            content = "".join(str(part.get("text", "")) for part in content)
        found.append({"role": message.get("role"), "content": content})
    return found


def _sampling(body: Mapping[str, object], max_tokens: int | None) -> SamplingParams:
    given: dict[str, Any] = {name: body[name] for name in _SAMPLING if body.get(name) is not None}
    stop, bias = body.get("stop"), body.get("logit_bias")
    if stop is not None:
        given["stop"] = (stop,) if isinstance(stop, str) else stop
    if isinstance(bias, Mapping):
        given["logit_bias"] = {int(token) if str(token).isdecimal() else token: value for token, value in bias.items()}
    temperature: Any = 1.0 if body.get("temperature") is None else body["temperature"]
    try:
        return SamplingParams(temperature=temperature, max_new_tokens=max_tokens, **given)
    except (ValueError, TypeError) as error:
        field = str(error).partition(" ")[0]
        raise Problem(400, str(error), field if field in body else None) from error
