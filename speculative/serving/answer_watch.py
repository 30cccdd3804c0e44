"""What is learned of an answer while it passes through: tokens, times, and the engine's own counts."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from arms import Observation
from speculative.serving.completion_request import CompletionRequest
from speculative.serving.engine_feedback import EngineFeedback, feedback_of, token_count
from speculative.serving.problem import ArmFailure
from speculative.serving.written_payload import WrittenPayload

if TYPE_CHECKING:
    from speculative.collection.answer_tokens import AnswerTokens  # it needs torch, upstreams do not

_IDENTIFIER = re.compile(r"[\w.-]{1,40}", re.ASCII)


class AnswerWatch:
    """Reads each payload of an answer once, and says what the client is to get of it.

    The seconds are this clock's, from the request to the last payload, or to the end of waiting where the answer fails
    or the client leaves, for every engine alike: an engine's own clock leaves out the time in its queue. Time that the
    client takes to read is not counted.

    Args:
        request: what was asked for.
        clock: seconds that never run backwards.

    Attributes:
        first_s: seconds to a stream's first payload; None before it, and for an answer that comes whole.
        seconds: to the last payload so far, or until the client left.
        feedback: the engine's counts, where it gave some.
        prompt: tokens of the prompt, and those of them that the engine had in its prefix cache; None where it does not
            say.
        answer: the tokens, where an engine of one's own wrote them, once it has ended.
    """

    def __init__(self, request: CompletionRequest, clock: Callable[[], float] = time.perf_counter) -> None:
        self._request, self._clock = request, clock
        self._start, self._client_s = clock(), 0.0
        self._n_chunks = 0
        self._usage: int | None = None
        self.prompt: tuple[int, int] | None = None
        self.first_s: float | None = None
        self.seconds = 0.0
        self.feedback: EngineFeedback | None = None
        self.answer: AnswerTokens | None = None

    def take(self, payload: bytes) -> bytes | None:
        """Note a payload; return what is passed on, or None where the client did not ask for it.

        Raises:
            ArmFailure: if it is no JSON object, or reports an error.
        """
        self.seconds = self._passed_s()
        if self.first_s is None and self._request.stream:
            self.first_s = self.seconds
        if isinstance(payload, WrittenPayload):
            self.answer = payload.answer
        try:
            said = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise ArmFailure(f"answered {len(payload)} bytes that are no JSON") from error
        if not isinstance(said, dict):
            raise ArmFailure(f"answered {len(payload)} bytes that are no JSON object")
        if "error" in said and "choices" not in said:
            raise ArmFailure(f"reported an error: {said['error']!r:.200}", _kind_of_error(said["error"]))
        choices = said.get("choices")
        if not isinstance(choices, list):
            raise ArmFailure(f"answered {len(payload)} bytes without choices")
        self._n_chunks += bool(choices)
        self.feedback = feedback_of(said) or self.feedback
        usage = said.get("usage")
        if usage is None:
            return payload
        if isinstance(usage, Mapping):
            self._usage, self.prompt = token_count(usage.get("completion_tokens")), _prompt_tokens(usage)
        if not self._request.stream or self._request.include_usage:
            return payload
        if not choices:
            return None
        del said["usage"]
        return json.dumps(said).encode()  # escaped: an engine's halves of a character cannot be encoded

    def client_has_read(self) -> None:
        """Leave out the time since the last payload: it was the client's."""
        self._client_s += self._passed_s() - self.seconds

    def left(self) -> None:
        """Note that the client waits no longer: the answer has taken until now, silence included."""
        self.seconds = self._passed_s()

    @property
    def n_tokens(self) -> int:
        """Tokens generated: as the usage says, else the engine's counts, else the chunks of the stream.

        More than the client allowed cannot be true, and is passed over.
        """
        most = self._request.max_tokens
        for count in (self._usage, None if self.feedback is None else self.feedback.n_tokens):
            if count is not None and (most is None or count <= most):
                return count
        return self._n_chunks if self._request.stream else 0

    def observation(self, arm: str, decision_id: str, failure: str | None = None) -> Observation:
        """Return the facts of the answer, without its text, as the log keeps them; a failure has taken until now."""
        if failure is not None:
            return Observation.failed(arm, decision_id, failure, self._passed_s())
        return Observation(arm, decision_id, text="", n_tokens=self.n_tokens, seconds=self.seconds)

    def _passed_s(self) -> float:
        return self._clock() - self._start - self._client_s


def _prompt_tokens(usage: Mapping[str, object]) -> tuple[int, int] | None:
    """Return tokens of the prompt, and how many of them were in a prefix cache; None for what cannot be."""
    details = usage.get("prompt_tokens_details")
    n = token_count(usage.get("prompt_tokens"))
    n_cached = token_count(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    return None if n is None or n_cached is None or n_cached > n else (n, n_cached)


def _kind_of_error(error: object) -> str:
    """Return an error's type and code, where they are short identifiers; its message may hold a text."""
    facts = {name: str(error.get(name)) for name in ("type", "code")} if isinstance(error, Mapping) else {}
    told = [f"{name} {value}" for name, value in facts.items() if value != "None" and _IDENTIFIER.fullmatch(value)]
    return f"reported an error ({', '.join(told)})" if told else "reported an error"
