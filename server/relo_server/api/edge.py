"""What every request passes on its way: its id, its size, the log, the audit, headers."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from relo_server.api.house import House
from relo_server.api.metrics import Metrics
from relo_server.api.problems import Problem, answer, translated
from relo_server.platform.audit import Entry
from relo_server.security.roles import OPERATIONS

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "strict-transport-security": "max-age=31536000",
}
#: The pages of the documentation bring scripts of their own, from this server alone.
_DOCS_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline'; worker-src 'self' blob:; frame-ancestors 'none'"
)
#: What only asks a set and is asked very often: its line is written within moments, and the answer
#: does not wait for that.
_LOOKS = frozenset({"audiences.member", "memberships.read"})
_log = logging.getLogger("relo.api")


class Edge:
    """The outermost layer of the application. `largest` is the most bytes that a body may have."""

    def __init__(self, app: ASGIApp, house: House, metrics: Metrics, largest: int) -> None:
        self._app = app
        self._house = house
        self._metrics = metrics
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        given = request.headers.get("x-request-id", "")
        request.state.request_id = given if _ID.fullmatch(given) else str(ULID())
        started = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                await self._note(request, status)
                message["headers"] = _with_headers(message["headers"], request)
            await send(message)

        try:
            await self._app(scope, await self._whole(request, receive), sending)
        except Exception as error:
            if status:
                raise
            await answer(request, translated(error))(scope, receive, sending)
        finally:
            self._finish(request, status, time.perf_counter() - started)

    async def _whole(self, request: Request, receive: Receive) -> Receive:
        """The body, read before anything is done. Raises Problem (413) where it is too large."""
        said = request.headers.get("content-length", "0")
        size = int(said) if said.isdecimal() else 0
        messages: list[Message] = []
        while size <= self._largest and (not messages or messages[-1].get("more_body")):
            messages.append(await receive())
            size = max(size, sum(len(one.get("body", b"")) for one in messages))
        if size > self._largest:
            raise Problem(
                413, "too_large", f"the body is larger than {self._largest:,} bytes",
                "send it in parts",
            )  # fmt: skip
        waiting = iter(messages)

        async def receiving() -> Message:
            return next(waiting, None) or await receive()

        return receiving

    async def _note(self, request: Request, status: int) -> None:
        """A line of the audit, before the answer goes out: what is not noted was not done."""
        operation = getattr(request.state, "operation", "")
        found = OPERATIONS.get(operation)
        if found is None or (found.public and found.name.startswith("service.")):
            return
        state = request.state
        outcome = "done" if status < 400 else "refused" if status < 500 else "failed"
        why = getattr(state, "why", "")
        entry = Entry(
            who=getattr(state, "who", ""),
            action=operation,
            object=getattr(state, "object", "") or request.url.path,
            outcome=f"{outcome} ({status}{f', {why}' if why else ''})",
            address=request.client.host if request.client else "",
            request_id=state.request_id,
        )
        client = getattr(state, "client", None)
        urgent = operation not in _LOOKS or status >= 400
        written = self._house.notes.add(client, entry, urgent=urgent)
        if urgent:
            await asyncio.wrap_future(written)

    def _finish(self, request: Request, status: int, seconds: float) -> None:
        operation = getattr(request.state, "operation", "") or "other"
        self._metrics.request(operation, status, seconds)
        line = {
            "event": "request",
            "request_id": request.state.request_id,
            "method": request.method,
            "path": request.url.path,
            "operation": operation,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "client": getattr(request.state, "client", None),
            "who": getattr(request.state, "who", ""),
        }
        _log.info(json.dumps(line))


def _with_headers(found: list[Any], request: Request) -> list[Any]:
    own = {**_HEADERS, "x-request-id": request.state.request_id}
    if request.url.path.startswith("/docs"):
        own["content-security-policy"] = _DOCS_POLICY
    there = {name.lower() for name, _ in found}
    more = [(k.encode(), v.encode()) for k, v in own.items() if k.encode() not in there]
    return [*found, *more]
