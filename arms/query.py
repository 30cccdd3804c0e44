"""A query: what a user asks, checked once where it enters the program."""

import hashlib
import json
import reprlib
import warnings
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from typing import Annotated, BinaryIO, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from arms.input_file import check_is_file

MOST_LINE_BYTES = 4 * 2**20  # of a prompt file: a million tokens, as the longest contexts hold


def _whole_characters(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):04x}"
        raise ValueError(
            f"must be whole characters: character {error.start} is {half}, half of a pair; the text was cut within one"
        ) from None
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


_Text = Annotated[str, AfterValidator(_whole_characters)]
_NonBlank = Annotated[_Text, AfterValidator(_not_blank)]


class UnknownKeysWarning(UserWarning):
    """A prompt file holds keys that mean nothing here; they were not read."""


class Message(BaseModel):
    """One turn of a conversation.

    Attributes:
        role: Who speaks, in the words of the model's chat template ("system", "user", "assistant").
        content: What is said; never blank.
    """

    model_config = ConfigDict(frozen=True)

    role: _NonBlank
    content: _NonBlank


class Query(BaseModel):
    """One request to a language model: a prompt or a conversation, never both.

    Attributes:
        id: Names the query in logs and errors; unique within a file.
        prompt: The user's text, when there is one turn.
        messages: The conversation, when there are several turns or a system message.
        domain: What kind of query it is, where known; policies never see it.
        max_new_tokens: Most tokens an arm may generate for it; None leaves that to the arm.

    Raises:
        ValueError: if a field breaks its rule (pydantic's `ValidationError` is a ValueError).
    """

    model_config = ConfigDict(frozen=True)

    id: _NonBlank
    prompt: _Text = ""
    messages: tuple[Message, ...] = ()
    domain: _Text | None = None
    max_new_tokens: int | None = Field(default=None, ge=1, strict=True)

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        blank = not self.prompt.strip() and not self.messages
        if blank or (self.prompt and self.messages):
            raise ValueError(
                "exactly one of prompt and messages must be given, and not blank; "
                f"got prompt {reprlib.repr(self.prompt)} and {len(self.messages)} messages"
            )
        return self

    @property
    def text(self) -> str:
        """What a context encoder reads: the prompt, or the messages' contents, one below the other."""
        return self.prompt or "\n".join(message.content for message in self.messages)

    def chat(self) -> list[dict[str, str]]:
        """Give the query as chat-template messages; a prompt is one user message."""
        messages = self.messages or (Message(role="user", content=self.prompt),)
        return [{"role": message.role, "content": message.content} for message in messages]


def read_queries(path: str | Path) -> list[Query]:
    """Read queries from a JSONL file: one object a line, fields as in `Query`.

    Further keys, which public prompt files carry, are not read and named in one warning; blank lines are no rows. A
    row without an `id` gets one made from its text, so that the same prompt has the same id in every file, and others
    have others (the second of two equal ones in a file ends in -2); an integer `id` becomes its text.

    Args:
        path: UTF-8 file; no line of more than 4 MB.

    Returns:
        The queries in file order; at least one.

    Raises:
        ValueError: naming file, line, rule and value, for whatever is wrong with the file.

    Warns:
        UnknownKeysWarning: naming the keys that were not read.
    """
    unknown: Counter[str] = Counter()
    try:
        check_is_file(path)
        with Path(path).open("rb") as file:
            queries = _parse(path, _lines(path, file), unknown)
    except OSError as error:
        raise ValueError(
            f"{path}: the prompt file cannot be read ({error.strerror or 'No such file or directory'}); check the path"
        ) from error
    if unknown:
        keys = ", ".join(f"{key!r} (in {n} of {len(queries)} rows{_meant(key)})" for key, n in unknown.items())
        message = f"{path}: keys that are not read: {keys}; a query has {', '.join(Query.model_fields)}"
        warnings.warn(message, UnknownKeysWarning, stacklevel=2)
    return queries


def _lines(path: str | Path, file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's lines; refuse a huge one before it is read whole."""
    number = 0
    while line := file.readline(MOST_LINE_BYTES + 1):
        number += 1
        if len(line) > MOST_LINE_BYTES:
            raise ValueError(
                f"{path}, line {number}: must have at most {MOST_LINE_BYTES:,} bytes, got more: shorten it"
            )
        yield line


def _parse(path: str | Path, lines: Iterable[bytes], unknown: Counter[str]) -> list[Query]:
    queries: list[Query] = []
    line_of: dict[str, int] = {}
    unused = UnusedIds(line_of)
    for number, raw in enumerate(lines, start=1):
        if not raw.strip():
            continue
        where = f"{path}, line {number}"
        row = _json_object(where, number, raw)
        query = _query(where, row, unused)
        unknown.update(row.keys() - Query.model_fields.keys())
        if query.id in line_of:
            raise ValueError(f"{where}: id must be unique in the file, got {query.id!r} as on line {line_of[query.id]}")
        line_of[query.id] = number
        queries.append(query)
    if not queries:
        raise ValueError(f"{path}: the prompt file must hold at least one query, got none")
    return queries


def _json_object(where: str, number: int, raw: bytes) -> dict[str, object]:
    try:
        # Only the file's first line can start with a byte-order mark.
        row = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
    except (ValueError, RecursionError) as error:
        # UnicodeDecodeError and JSONDecodeError are both ValueErrors.
        raise ValueError(f"{where}: must be one JSON object in UTF-8, got {reprlib.repr(raw)} ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(f"{where}: must be one JSON object, got {reprlib.repr(row)}")
    return row


def _query(where: str, row: Mapping[str, object], unused: "UnusedIds") -> Query:
    name = row.get("id", "?")
    try:
        query = Query.model_validate({**row, "id": str(name) if type(name) is int else name})
        return query if "id" in row else query.model_copy(update={"id": unused.like(content_id(query))})
    except ValidationError as error:
        hints = [f"; key {key!r}{hint}" for key in row if (hint := _meant(key))]
        raise ValueError(f"{where}: {_explain(error)}{''.join(hints)}") from error


def check_is_query(value: object) -> None:
    """Reject what is no query, a prompt's text for one.

    Raises:
        TypeError: naming `Query`.
    """
    if not isinstance(value, Query):
        raise TypeError(f"a query must be a Query, got {reprlib.repr(value)}: write Query(id=..., prompt=...)")


def content_id(query: Query) -> str:
    """Return an id made from what a query asks, the same for the same text anywhere."""
    return f"q-{hashlib.sha256(json.dumps(query.chat()).encode()).hexdigest()[:16]}"


class UnusedIds:
    """Ids that are not taken yet, as quick for the thousandth equal prompt as for the first.

    Args:
        taken: the ids in use; it may grow meanwhile.
    """

    def __init__(self, taken: Container[str]) -> None:
        self._taken = taken
        self._last: dict[str, int] = {}  # number of the last id found for each name

    def like(self, name: str) -> str:
        """Return the name itself, or where it is taken the first of NAME-2, NAME-3, ... that is not."""
        for number in count(self._last.get(name, 1)):
            self._last[name] = number
            found = name if number == 1 else f"{name}-{number}"
            if found not in self._taken:
                break
        return found


def _meant(key: str) -> str:
    """Return what a key that is almost right should be called; nothing for others."""
    if key in Query.model_fields:
        return ""
    close = get_close_matches(key.lower(), Query.model_fields, n=1, cutoff=0.75)
    return f": did you mean {close[0]!r}?" if close else ""


def _explain(error: ValidationError) -> str:
    """Put pydantic's findings into one line: field, rule, value."""
    findings = []
    for finding in error.errors():
        field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in finding["loc"])
        rule = finding["msg"].removeprefix("Value error, ")
        if field:
            rule = f"{field.lstrip('.')}: {rule}, got {reprlib.repr(finding['input'])}"
        findings.append(rule)
    return "; ".join(findings)
