"""The addresses of the live page: for whoever may use the API, and for a browser, which asks for a key itself."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, Response

from speculative.serving.live_page import LivePage, main_part
from speculative.serving.live_view import live_view
from speculative.serving.problem import Problem
from speculative.serving.served_tail import ServedTail
from speculative.serving.service import Service

if TYPE_CHECKING:
    from speculative.explaining.answer import ExplainedAnswer  # it needs torch, upstreams do not

_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


def add_page(app: FastAPI, service: Service, check: Callable[[Request], object]) -> None:
    """Add the page to an application.

    Args:
        app: gets `/draftpick` and `/draftpick/answers`.
        service: is shown.
        check: raises a `Problem` for a request that may not be answered; a key that it looks for may come as a bearer
            token, or as the password that a browser asks for.
    """
    routes = _PageRoutes(service, check)
    app.add_api_route("/draftpick", routes.page)
    app.add_api_route("/draftpick/answers", routes.answers)


class _PageRoutes:
    def __init__(self, service: Service, check: Callable[[Request], object]) -> None:
        self._service, self._check = service, check
        self._page, self._tail = LivePage(), ServedTail(service.agent.log.folder)

    async def page(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        self._service.seen.watched()
        view = await asyncio.to_thread(live_view, self._service, self._tail)
        html = main_part(view) if request.query_params.get("part") == "main" else self._page.whole(view)
        return HTMLResponse(html, headers={**_HEADERS, "content-security-policy": self._page.policy})

    async def answers(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        answers = list(self._service.seen.answers)  # here, since this thread adds to them
        if not answers:
            raise Problem(404, "no answer's rounds were reported: look at /draftpick while the engine answers")
        return HTMLResponse(await asyncio.to_thread(self._explained, answers), headers=_HEADERS)

    def _explained(self, kept: Sequence[Callable[[], ExplainedAnswer]]) -> str:
        from speculative.explaining.page import to_html
        from speculative.explaining.without_texts import without_texts

        answers = [explain() for explain in reversed(kept)]
        return to_html(answers if self._service.seen.show_texts else [without_texts(answer) for answer in answers])

    def _refusal(self, request: Request) -> Response | None:
        """Return what asks a browser for the key, where it is missing.

        Raises:
            Problem: for a page of another origin, or a name that is not the server's.
        """
        try:
            self._check(_with_bearer(request))
        except Problem as problem:
            if problem.status != 401:
                raise
            asks = {"www-authenticate": 'Basic realm="draftpick: any name, a key as password", charset="UTF-8"'}
            return Response(problem.payload(), 401, {**_HEADERS, **asks}, "application/json")
        return None


def _with_bearer(request: Request) -> Request:
    """Return the request with the password of its Basic credentials as the bearer token that the API reads."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return request
    try:
        password = base64.b64decode(given, validate=True).partition(b":")[2]
    except (ValueError, binascii.Error):
        return request
    others = [pair for pair in request.scope["headers"] if pair[0] != b"authorization"]
    return Request({**request.scope, "headers": [*others, (b"authorization", b"Bearer " + password)]})
