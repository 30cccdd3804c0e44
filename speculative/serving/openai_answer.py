"""An answer of one's own engine in OpenAI's form: chunks of a stream, or one object."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping

from speculative.protocols.request import FinishReason, Generation
from speculative.serving.completion_request import CompletionRequest

FINISH_REASONS: Mapping[FinishReason, str] = {"eos": "stop", "stop": "stop", "length": "length"}
"""Of texts that have ended as they should, in OpenAI's words."""


class OpenAIAnswer:
    """Makes the payloads of one answer.

    What the drafts did stands where vLLM puts it: `metrics.speculative_decoding`.

    Args:
        request: what was asked for.
        model: what the answer is said to come from.
    """

    def __init__(self, request: CompletionRequest, model: str) -> None:
        self._is_chat = request.endpoint == "chat/completions"
        self._stream = request.stream
        kind = "chat.completion" if self._is_chat else "text_completion"
        self._head: dict[str, object] = {
            "id": f"{'chatcmpl' if self._is_chat else 'cmpl'}-{secrets.token_hex(12)}",
            "object": f"{kind}.chunk" if self._is_chat and self._stream else kind,
            "created": int(time.time()),
            "model": model,
        }
        self._has_begun = False

    def chunk(self, text: str) -> bytes:
        """Return the next piece of a stream."""
        return self._dumped([self._piece(text, None)])

    def ends(self, generation: Generation, text: str) -> Iterator[bytes]:
        """Yield what ends an answer: a stream's last chunk and its usage, or the whole answer.

        Args:
            generation: what the engine wrote.
            text: of it.
        """
        reason = FINISH_REASONS[generation.finished]
        stats = generation.stats
        counts = {
            "num_spec_steps": stats.n_rounds,
            "num_draft_tokens": stats.n_proposed,
            "num_accepted_draft_tokens": stats.n_accepted,
            "per_step_accepted": stats.accepted,
        }
        metrics = {"speculative_decoding": counts}
        usage = {
            "prompt_tokens": stats.n_prompt,
            "prompt_tokens_details": {"cached_tokens": stats.n_cached},
            "completion_tokens": stats.n_new,
            "total_tokens": stats.n_prompt + stats.n_new,
        }
        if self._stream:
            yield self._dumped([self._piece("", reason)], metrics=metrics)
            yield self._dumped([], usage=usage)
            return
        choice: dict[str, object] = {"index": 0, "finish_reason": reason, "logprobs": None}
        choice |= {"message": {"role": "assistant", "content": text}} if self._is_chat else {"text": text}
        yield self._dumped([choice], usage=usage, metrics=metrics)

    def _piece(self, text: str, reason: str | None) -> dict[str, object]:
        choice: dict[str, object] = {"index": 0, "finish_reason": reason, "logprobs": None}
        if not self._is_chat:
            return choice | {"text": text}
        first = {} if self._has_begun else {"role": "assistant"}
        self._has_begun = True
        return choice | {"delta": {**first, **({"content": text} if text or first else {})}}

    def _dumped(self, choices: list[dict[str, object]], **more: object) -> bytes:
        return json.dumps({**self._head, "choices": choices, **more}, ensure_ascii=False).encode()
