"""The HTTP interface of a service: OpenAI's endpoints, rewards, health, metrics and the live page."""

from __future__ import annotations

import time

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from speculative.serving.asgi_client import ServedResponse
from speculative.serving.completion_request import Endpoint, read_request
from speculative.serving.door import Door
from speculative.serving.page_routes import add_page
from speculative.serving.problem import Problem
from speculative.serving.reloading import Reloading
from speculative.serving.replica import Replica
from speculative.serving.reward_route import RewardRoute
from speculative.serving.service import Service
from speculative.serving.spans import Spans


def make_app(
    service: Service,
    door: Door,
    *,
    model: str = "draftpick",
    spans: Spans | None = None,
    reloading: Reloading | None = None,
    replica: Replica | None = None,
) -> FastAPI:
    """Return the application of a service.

    Args:
        service: answers.
        door: says who is let in.
        model: the name that clients ask for.
        spans: begin one for each completion; None for none.
        reloading: reads the pool file again when asked to; None where there is none to read.
        replica: which of several servers this is; None for the only one.
    """
    routes = _Routes(service, model, door, spans, reloading)
    rewards = RewardRoute(service, door, replica)
    app = FastAPI(title="draftpick", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route("/v1/chat/completions", routes.chat_completions, methods=["POST"])
    app.add_api_route("/v1/completions", routes.completions, methods=["POST"])
    app.add_api_route("/v1/models", routes.models)
    app.add_api_route("/v1/draftpick/reward", rewards.post, methods=["POST"])
    app.add_api_route("/v1/draftpick/reload", routes.reload, methods=["POST"])
    app.add_api_route("/health", routes.health)
    app.add_api_route("/metrics", routes.metrics)
    add_page(app, service, door.check)
    app.add_exception_handler(Problem, _told)
    return app


class _Routes:
    """The endpoints; all but /health need a key where there are keys."""

    def __init__(
        self, service: Service, model: str, door: Door, spans: Spans | None, reloading: Reloading | None
    ) -> None:
        self._service, self._model, self._door, self._spans = service, model, door, spans
        self._reloading = reloading
        self._started = int(time.time())

    async def chat_completions(self, request: Request) -> Response:
        return await self._complete("chat/completions", request)

    async def completions(self, request: Request) -> Response:
        return await self._complete("completions", request)

    async def models(self, request: Request) -> Response:
        self._door.check(request)
        entry = {"id": self._model, "object": "model", "created": self._started, "owned_by": "draftpick"}
        return JSONResponse({"object": "list", "data": [entry]})

    async def reload(self, request: Request) -> Response:
        self._door.check_owner(request)
        if self._reloading is None:
            raise Problem(409, "this server's arms come from no file that could be read again")
        try:
            change = await self._reloading.reload("POST /v1/draftpick/reload")
        except (ValueError, OSError) as error:
            raise Problem(409, f"the arms stay as they are: {error}") from error
        return JSONResponse({"joined": change.joined, "left": change.left, "arms": change.arms})

    async def health(self) -> Response:
        up = {name: not breaker.is_open for name, breaker in self._service.breakers.items()}
        return JSONResponse({"ok": any(up.values()), "arms": up}, 200 if any(up.values()) else 503)

    async def metrics(self, request: Request) -> Response:
        self._door.check(request)
        for name, breaker in self._service.breakers.items():
            self._service.metrics.set("arm_up", float(not breaker.is_open), arm=name)
            self._service.metrics.set("waiting_requests", self._service.n_waiting(name), arm=name)
        return PlainTextResponse(self._service.metrics.page(), media_type="text/plain; version=0.0.4")

    async def _complete(self, endpoint: Endpoint, request: Request) -> Response:
        self._door.check_rate(self._door.check(request))
        raw = await self._door.body(request)
        return ServedResponse(self._service, read_request(endpoint, raw, self._model), self._spans)


async def _told(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return Response(problem.payload(), problem.status, problem.headers(), "application/json")
