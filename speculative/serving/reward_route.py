"""Where callers say what an answer was worth, at whichever replica they ask."""

from __future__ import annotations

import json
import math

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from speculative.serving.door import Door
from speculative.serving.http_client import HttpClient
from speculative.serving.problem import ArmFailure, Problem
from speculative.serving.replica import Replica
from speculative.serving.service import Service

_MARK = "x-draftpick-forwarded"
_PATH = "/v1/draftpick/reward"
_CONNECT_S, _ANSWER_S = 5.0, 30.0


class RewardRoute:
    """Takes the rewards of own decisions, and hands others on to the replica that made the decision.

    Args:
        service: made the own decisions.
        door: says who is let in.
        replica: which of several servers this is; None for the only one.
    """

    def __init__(self, service: Service, door: Door, replica: Replica | None = None) -> None:
        self._service, self._door, self._replica = service, door, replica

    async def post(self, request: Request) -> Response:
        """Take a reward.

        Raises:
            Problem: as the service's and the door's; 503 where the replica that made the decision gives no answer.
        """
        self._door.check(request)
        body = await self._door.body(request)
        decision_id, value = _reward(body)
        holder = None if self._replica is None or _MARK in request.headers else self._replica.holder_of(decision_id)
        url = None if holder is None else holder.url()
        if holder is None or url is None:
            return JSONResponse({"id": decision_id, "counted": await self._service.reward(decision_id, value)})
        try:
            return await _handed_on(url, body, request.headers.get("authorization"))
        except ArmFailure as failure:
            raise Problem(
                503, f"replica {holder.number}, which made the decision, gave no answer ({failure}): give it again"
            ) from failure


async def _handed_on(url: str, body: bytes, key: str | None) -> Response:
    """Return the answer of the server at this url, which hands the reward to no third one."""
    headers = {"content-type": "application/json", _MARK: "1"} | ({} if key is None else {"authorization": key})
    client = HttpClient(url, headers, _CONNECT_S)
    try:
        async with client.asked(_PATH, body, _ANSWER_S) as connection:
            status, parts = connection.status, []
            while part := await connection.read(_ANSWER_S):
                parts.append(part)
    finally:
        client.close()
    return Response(b"".join(parts), status, media_type="application/json")


def _reward(raw: bytes) -> tuple[str, float]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body must be one JSON object ({error})") from error
    if not isinstance(body, dict) or set(body) != {"id", "reward"}:
        raise Problem(400, 'the body must be {"id": ..., "reward": ...} and nothing else')
    decision_id, value = body["id"], body["reward"]
    if not isinstance(decision_id, str):
        raise Problem(400, f"id must be a string, got {decision_id!r:.100}", "id")
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Problem(400, f"reward must be a finite number, got {value!r:.100}", "reward")
    return decision_id, number
