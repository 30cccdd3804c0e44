"""What a client is told when its request cannot be answered: a status, and an error in OpenAI's form."""

from __future__ import annotations

import json


class Problem(Exception):
    """One clear answer to a request that fails.

    Args:
        status: of HTTP.
        message: rule, value and what to do; it never holds a key or a header.
        field: of the body that broke a rule; None where none did.
        retry_after_s: when asking again makes sense; None where it is not known.
    """

    def __init__(self, status: int, message: str, field: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.field, self.retry_after_s = status, message, field, retry_after_s

    def payload(self) -> bytes:
        """Return the error as OpenAI's clients read it."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": self.message, "type": kind, "param": self.field, "code": self.status}
        return json.dumps({"error": error}).encode()

    def headers(self) -> dict[str, str]:
        """Return what tells a client what to do."""
        key = {"www-authenticate": "Bearer"} if self.status == 401 else {}
        return key if self.retry_after_s is None else {**key, "retry-after": str(self.retry_after_s)}


class ArmFailure(Exception):
    """An arm gave no whole answer; before its first byte another may be asked.

    Args:
        message: for the client; it may hold what an engine said, and so parts of a text.
        kind: for the log and the page, and without a word of a text; None where the message has none.
    """

    def __init__(self, message: str, kind: str | None = None) -> None:
        super().__init__(message)
        self.kind = message if kind is None else kind


class ArmRefusal(Exception):
    """An arm refused the request itself, which no other arm would answer differently.

    Args:
        status: 400 to 499.
        payload: what it said, passed on.
    """

    def __init__(self, status: int, payload: bytes) -> None:
        super().__init__(f"refused with status {status}")
        self.status, self.payload = status, payload
