"""An arm of one's own engine, a draft or a choice of drafts: OpenAI's request in, the target's own text out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from speculative.collection.answer_tokens import AnswerTokens
from speculative.explaining.answer import explain
from speculative.protocols.request import Generation, RoundResult
from speculative.protocols.selector import Selector
from speculative.serving.assigned_rounds import Chooser
from speculative.serving.completion_request import CompletionRequest
from speculative.serving.engine_request import engine_request
from speculative.serving.engine_worker import EngineWorker
from speculative.serving.metrics import Metrics
from speculative.serving.openai_answer import FINISH_REASONS, OpenAIAnswer
from speculative.serving.problem import ArmFailure, ArmRefusal, Problem
from speculative.serving.seen import Seen
from speculative.serving.written_payload import WrittenPayload


class EngineArm:
    """Answers with a pool's target, helped by one of the pool's arms, or in each round by the one that is chosen then.

    Sampling follows OpenAI's defaults (temperature 1); all that the engine cannot do is refused by the field's name.

    Args:
        name: of the arm.
        worker: steps the pool's engine.
        model: what answers are said to come from.
        selector: chooses among the pool's arms at every round; None for the pool's arm of that name.
        seen: gets answers whose rounds were reported, while somebody looks; None where nobody can.
        metrics: count the rounds and accepted tokens of each arm that a selector chose; None where nobody reads them.
    """

    def __init__(
        self,
        name: str,
        worker: EngineWorker,
        model: str,
        *,
        selector: Selector | None = None,
        seen: Seen | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.name, self._worker, self._model = name, worker, model
        self._selector, self._seen, self._metrics = selector, seen, metrics
        self._chooser: Chooser = worker.action(name) if selector is None else selector

    @property
    def n_waiting(self) -> int:
        """Requests that wait for the engine, which all its arms share."""
        return self._worker.n_waiting

    async def answer(self, request: CompletionRequest) -> AsyncGenerator[bytes, None]:
        """Yield the chunks of a stream, or the whole answer as one payload.

        Raises:
            ArmRefusal: if the engine cannot do what is asked, or the prompt does not fit.
            ArmFailure: if the engine fails.
        """
        form = OpenAIAnswer(request, self._model)
        text: list[str] = []
        try:
            asked = engine_request(self._worker.target, request)
            if self._seen is not None and self._seen.wants_rounds():
                asked = replace(asked, sampling=replace(asked.sampling, rounds=True))
            async with aclosing(self._worker.rounds(asked, self._chooser)) as rounds:
                async for item in rounds:
                    if isinstance(item, Generation):
                        end = item
                        continue
                    self._count(item)
                    if item.text:
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
            self._seen.answers.append(partial(explain, end, self._worker.target, request.text))
        tokens = AnswerTokens(asked.token_ids, end.token_ids, asked.max_new_tokens)
        for payload in form.ends(end, "".join(text)):
            yield WrittenPayload.of(payload, tokens) if end.token_ids else payload

    def _count(self, one: RoundResult) -> None:
        """Count a round by the arm that was chosen for it; where every round has the same, the arm's counts tell."""
        if self._selector is None or self._metrics is None or one.action is None:
            return
        labels = {"arm": self.name, "chosen": self._worker.arm_names[one.action]}
        self._metrics.add("rounds_by_choice_total", **labels)
        self._metrics.add("accepted_tokens_by_choice_total", one.n_accepted, **labels)
