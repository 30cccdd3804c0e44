"""What a pool file says of upstreams: engines that run elsewhere, each an arm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, field_validator

from arms.plugin import for_field
from arms.strict_model import StrictModel
from arms.toml_file import read_toml
from bandits.encoders import EncoderSpec, HashingEncoder, read_encoder_spec

_OURS = ("messages", "prompt", "stream", "stream_options", "model")
_OUR_HEADERS = ("host", "content-length", "content-type", "transfer-encoding", "accept-encoding", "connection")
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class UpstreamSpec(StrictModel):
    """One arm: an OpenAI-compatible server, or body fields that such a server honours.

    Attributes:
        kind: always "upstream".
        name: of the arm, printable ASCII, since a header of each answer holds it.
        url: up to and without `/v1`.
        model: sent as the request's model; None sends the client's.
        headers: header to the name of the environment variable that holds its value, so that no file holds a key.
        body: fields that every request to it gets, such as `{ draft_model = "small" }`.
        asks_for_usage: whether streams are asked for their usage; False for an engine that refuses `stream_options`,
            whose tokens are then counted by its chunks.
        health_path: asked for while the server serves, so that an arm that is down is masked before a request meets
            it; "" for never. LM Studio has none of its own, and answers to "/v1/models".
        health_every_s: seconds between two such checks.
        connect_s: longest time to connect, and for a health check.
        first_byte_s: longest time from the request to the answer's first byte.
        between_bytes_s: longest silence within an answer.
    """

    kind: Literal["upstream"]
    name: str = Field(max_length=100, pattern=r"^[!-~]([ -~]*[!-~])?$")
    url: str
    model: str | None = None
    headers: Mapping[str, str] = Field(default_factory=dict)
    body: Mapping[str, object] = Field(default_factory=dict)
    asks_for_usage: bool = True
    health_path: Annotated[str, Field(pattern=r"^(/[!-~]*)?$")] = "/health"
    health_every_s: Seconds = 5.0
    connect_s: Seconds = 5.0
    first_byte_s: Seconds = 120.0
    between_bytes_s: Seconds = 60.0

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("url must begin with http:// or https:// and name a host")
        if not re.fullmatch(r"[!-~]+", url) or parts.query or parts.fragment:
            raise ValueError("url must be ASCII without spaces, and end with its path")
        if parts.username or parts.password:
            raise ValueError("url must hold no key: name an environment variable in headers")
        if parts.path.rstrip("/").endswith("/v1"):
            raise ValueError("url must end before /v1")
        return url.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        for name in headers:
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or name.lower() in _OUR_HEADERS:
                raise ValueError(
                    f"headers must be named as HTTP allows, and none of {', '.join(_OUR_HEADERS)}: {name!r}"
                )
        return headers

    @field_validator("body")
    @classmethod
    def _check_body(cls, body: Mapping[str, object]) -> Mapping[str, object]:
        taken = [name for name in body if name in _OURS]
        if taken:
            raise ValueError(
                f"body must not set {taken[0]}: that is the client's, and the model has a field of its own"
            )
        return body

    def read_headers(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the headers with the values of their environment variables.

        Raises:
            ValueError: if a variable is missing or is no header's value; the value itself is never shown.
        """
        found = {}
        for header, variable in self.headers.items():
            value = environment.get(variable, "")
            if not value or not value.isprintable() or not value.isascii():
                raise ValueError(
                    f"arm {self.name!r}: header {header} needs the environment variable {variable}, printable ASCII; "
                    "set it"
                )
            found[header] = value
        return found


class UpstreamPoolSpec(StrictModel):
    """The content of a pool file whose arms are upstreams.

    Attributes:
        arms: at least one; names differ.
        encoder: how queries become contexts.
        model: the name that clients ask for.
    """

    arms: tuple[UpstreamSpec, ...] = Field(min_length=1)
    encoder: Annotated[SerializeAsAny[EncoderSpec], BeforeValidator(for_field(read_encoder_spec))] = (
        HashingEncoder.Spec(n_features=256)
    )
    model: str = Field(default="draftpick", min_length=1)

    @field_validator("arms")
    @classmethod
    def _check_names(cls, arms: tuple[UpstreamSpec, ...]) -> tuple[UpstreamSpec, ...]:
        names = [arm.name for arm in arms]
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise ValueError(f"arms must have different names, got {repeated[0]!r} twice")
        return arms

    @property
    def arm_names(self) -> tuple[str, ...]:
        """The arms in order."""
        return tuple(arm.name for arm in self.arms)


def read_upstream_pool(path: str | Path) -> UpstreamPoolSpec:
    """Read and check a pool file whose arms are upstreams.

    Raises:
        ValueError: if the file is missing, is no TOML or breaks a rule; it names file, field and value.
    """
    table = read_toml(path, "pool file")
    try:
        return UpstreamPoolSpec.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"pool file {path}, {field}: {first['msg'].removeprefix('Value error, ')}") from error
