"""A draft of one's own engine as an arm: OpenAI's request in, the target's own text out, in OpenAI's form."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from speculative.collection.answer_tokens import AnswerTokens
from speculative.explaining.answer import explain
from speculative.pools.pool import Pool
from speculative.protocols.request import Generation
from speculative.serving.completion_request import CompletionRequest
from speculative.serving.engine_request import engine_request
from speculative.serving.engine_worker import EngineWorker
from speculative.serving.openai_answer import FINISH_REASONS, OpenAIAnswer
from speculative.serving.problem import ArmFailure, ArmRefusal, Problem
from speculative.serving.seen import Seen
from speculative.serving.written_payload import WrittenPayload


class EngineArm:
    """Answers with a pool's target, helped by one of the pool's arms.

    Sampling follows OpenAI's defaults (temperature 1); all that the engine cannot do is refused by the field's name.

    Args:
        pool: of the arm.
        name: of the arm in the pool.
        worker: steps the pool's engine.
        model: what answers are said to come from.
        seen: gets answers whose rounds were reported, while somebody looks; None where nobody can.
    """

    def __init__(self, pool: Pool, name: str, worker: EngineWorker, model: str, seen: Seen | None = None) -> None:
        self.name, self._pool, self._worker, self._model = name, pool, worker, model
        self._seen = seen
        self._action = pool.arms.index(name)

    async def answer(self, request: CompletionRequest) -> AsyncGenerator[bytes, None]:
        """Yield the chunks of a stream, or the whole answer as one payload.

        Raises:
            ArmRefusal: if the engine cannot do what is asked, or the prompt does not fit.
            ArmFailure: if the engine fails.
        """
        form = OpenAIAnswer(request, self._model)
        text: list[str] = []
        try:
            asked = engine_request(self._pool, request)
            if self._seen is not None and self._seen.wants_rounds():
                asked = replace(asked, sampling=replace(asked.sampling, rounds=True))
            async with aclosing(self._worker.rounds(asked, self._action)) as rounds:
                async for item in rounds:
                    if isinstance(item, Generation):
                        end = item
                    elif item.text:
                        text.append(item.text)
                        if request.stream:
                            yield form.chunk(item.text)
        except Problem as problem:
            raise ArmRefusal(problem.status, problem.payload()) from problem
        except ValueError as error:
            raise ArmRefusal(400, Problem(400, str(error)).payload()) from error
        if end.finished not in FINISH_REASONS:
            ended = f"the engine ended the text: {end.finished}"
            raise ArmFailure(end.failure or ended, ended)
        if self._seen is not None and end.rounds:
            self._seen.answers.append(partial(explain, end, self._pool.target, request.text))
        tokens = AnswerTokens(asked.token_ids, end.token_ids, asked.max_new_tokens)
        for payload in form.ends(end, "".join(text)):
            yield WrittenPayload.of(payload, tokens) if end.token_ids else payload
