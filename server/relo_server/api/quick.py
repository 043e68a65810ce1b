"""Look-ups of one device, answered at once: what is asked most often takes the shortest way.

`Quick` stands in front of the application. A look-up with a good token, of a set that is whole, it
answers itself; everything else, all that is refused too, takes the whole way through the routes,
and what is said there is said in one place.
"""

from __future__ import annotations

import json
import re
import time

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Receive, Scope, Send

from relo_dsl.engine.key import device_key
from relo_dsl.errors import UserError
from relo_dsl.times import format_instant
from relo_server.api.callers import API_TOKEN
from relo_server.api.edge import headers_of, request_id
from relo_server.api.house import Front
from relo_server.api.looks import Look, Told
from relo_server.api.problems import Problem
from relo_server.security.principals import Principal
from relo_server.sets import SetInfo, SetsError

OPERATION = "audiences.member"
_PATH = re.compile(r"/audiences/([^/]{1,200})/members/([^/]{1,1000})")
#: Headers with which an answer takes more than the short way knows.
UNUSUAL = frozenset({b"origin", b"traceparent"})


def freshness(info: SetInfo, now: int) -> dict[str, object]:
    """As of when an answer from a set is; `now` in epoch milliseconds."""
    return {
        "audience": info.name,
        "version": info.version,
        "as_of": format_instant(info.at),
        "age_seconds": max(now - info.at, 0) // 1000,
    }


class Quick:
    """The application, and in front of it the short way for look-ups."""

    def __init__(self, app: ASGIApp, front: Front, told: Told) -> None:
        """`told` is called for each look-up that was answered here."""
        self._app = app
        self._front = front
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = None
        if scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]:
            found = _PATH.fullmatch(scope["path"])
        if found is None or not await self._answered(scope, send, found[1], found[2]):
            await self._app(scope, receive, send)

    async def _answered(self, scope: Scope, send: Send, name: str, device: str) -> bool:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        who = await known_caller(self._front, headers, OPERATION)
        if who is None:
            return False
        front = self._front
        try:
            key = device_key(front.key, who.client, device)
            answer = await front.lookups.ask(who.client, name, key)
            if answer is None:
                return False
            await front.count(who)
        except (Problem, SetsError, UnicodeEncodeError):
            return False
        told = {"device": device, "member": answer[1], **freshness(answer[0], front.clock())}
        body = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
        look = await answer_well(scope, send, OPERATION, who, body, started)
        self._told(look._replace(path=f"/audiences/{name}/members/{key.hex()}"))
        return True


async def known_caller(
    front: Front, headers: dict[bytes, bytes], operation: str
) -> Principal | None:
    """Who asks, where that is somebody with an API token that allows it, and nothing is unusual."""
    if UNUSUAL & headers.keys():
        return None
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token.startswith(API_TOKEN):
        return None
    try:
        who = await front.known.principal(token.strip())
    except (UserError, SQLAlchemyError):
        return None
    return who if who.may(operation) else None


async def answer_well(
    scope: Scope, send: Send, operation: str, who: Principal, body: bytes, started: float
) -> Look:
    """Sends JSON with all headers of the whole way; what is to be told of it."""
    headers = dict(scope["headers"])
    id_ = request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
    address = scope["client"][0] if scope.get("client") else ""
    own = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({
        "type": "http.response.start", "status": 200, "headers": [*own, *headers_of(id_)],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": body})
    seconds = time.perf_counter() - started
    return Look(operation, who.client, who.subject, scope["path"], address, id_, seconds)
