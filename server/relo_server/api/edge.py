"""What every request passes on its way: its id, its size, the log, the audit, headers."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import Any

from opentelemetry.trace import Span
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from relo_dsl.engine.key import device_key
from relo_server.api.house import Front
from relo_server.api.metrics import Metrics
from relo_server.api.problems import Problem, answer, translated
from relo_server.platform.audit import Entry
from relo_server.security.roles import OPERATIONS
from relo_server.tracing import answered, request_span, trace_id

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
#: What only asks a set, or brings events, and is asked very often: its line is written within
#: moments, and the answer does not wait for that.
_OFTEN = frozenset({"audiences.member", "memberships.read", "ingest.batch"})
#: What everybody may ask, and what visitors do: it says nothing of who runs the house.
UNNOTED = {
    one.name for one in OPERATIONS.values() if one.public and not one.name.startswith("session.")
}
_ENCODED = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
_OF_DEVICE = re.compile(r"(/audiences/[^/]*/members/)(.+)", re.DOTALL)
_log = logging.getLogger("relo.api")


class Edge:
    """The outermost layer of the application. `largest` is the most bytes that a body may have,
    `largest_batch` that of one with events.
    """

    def __init__(
        self, app: ASGIApp, house: Front, metrics: Metrics, largest: int, largest_batch: int
    ) -> None:
        self._app = app
        self._house = house
        self._metrics = metrics
        self._largest = largest
        self._largest_batch = largest_batch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        with request_span(request.headers) as span:
            await self._traced(request, span, receive, send)

    async def _traced(self, request: Request, span: Span, receive: Receive, send: Send) -> None:
        scope = request.scope
        request.state.request_id = request_id(request.headers.get("x-request-id", ""))
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
            self._finish(request, span, status, time.perf_counter() - started)

    async def _whole(self, request: Request, receive: Receive) -> Receive:
        """The body, read before anything is done. Raises Problem (413) where it is too large."""
        largest = self._largest
        if request.url.path.startswith("/ingest/"):
            largest = self._largest_batch
        said = request.headers.get("content-length", "0")
        announced = int(said) if said.isdecimal() else 0
        size, messages = 0, list[Message]()
        while max(announced, size) <= largest and (not messages or messages[-1].get("more_body")):
            messages.append(await receive())
            size += len(messages[-1].get("body", b""))
        if max(announced, size) > largest:
            raise Problem(
                413, "too_large", f"the body is larger than {largest:,} bytes",
                "send it in parts",
            )  # fmt: skip
        waiting = iter(messages)

        async def receiving() -> Message:
            return next(waiting, None) or await receive()

        return receiving

    def _path(self, request: Request) -> str:
        """The path as it may be written: in place of a device stands its key."""
        return plain_path(
            request.scope["path"], self._house.key, getattr(request.state, "client", None)
        )

    async def _note(self, request: Request, status: int) -> None:
        """A line of the audit, before the answer goes out: what is not noted was not done."""
        operation = getattr(request.state, "operation", "")
        found = OPERATIONS.get(operation)
        if found is None or found.name in UNNOTED:
            return
        state = request.state
        entry = entry_of(
            operation,
            status,
            who=getattr(state, "who", ""),
            of=getattr(state, "object", "") or self._path(request),
            why=getattr(state, "why", ""),
            address=request.client.host if request.client else "",
            request_id=state.request_id,
        )
        client = getattr(state, "client", None)
        urgent = operation not in _OFTEN or status >= 400
        written = self._house.notes.add(client, entry, urgent=urgent)
        if urgent:
            await asyncio.wrap_future(written)

    def _finish(self, request: Request, span: Span, status: int, seconds: float) -> None:
        operation = getattr(request.state, "operation", "") or "other"
        client = getattr(request.state, "client", None)
        self._metrics.request(operation, status, seconds)
        route = getattr(request.scope.get("route"), "path_format", "")
        answered(span, request.method, route, status, operation, client, request.state.request_id)
        log_request(
            request.method, self._path(request), operation, status, seconds,
            client=client, who=getattr(request.state, "who", ""),
            request_id=request.state.request_id,
        )  # fmt: skip


def plain_path(path: str, key: bytes, client: int | None) -> str:
    """A path of a request as it may be written: in place of a device of the client stands its key;
    nothing does where nobody knows the client.
    """
    found = _OF_DEVICE.fullmatch(path)
    if found is None:
        return path
    if client is None:
        return f"{found[1]}…"
    return found[1] + device_key(key, client, found[2].encode("utf-8", "replace").decode()).hex()


def request_id(given: str) -> str:
    """The id of a request: the caller's own where it is one."""
    return given if _ID.fullmatch(given) else str(ULID())


def entry_of(
    operation: str, status: int, *, who: str, of: str, address: str, request_id: str, why: str = "",
) -> Entry:  # fmt: skip
    """The line of the audit about a request."""
    outcome = "done" if status < 400 else "refused" if status < 500 else "failed"
    return Entry(
        who=who, action=operation, object=of, address=address, request_id=request_id,
        outcome=f"{outcome} ({status}{f', {why}' if why else ''})",
    )  # fmt: skip


def log_request(
    method: str, path: str, operation: str, status: int, seconds: float, *, client: int | None,
    who: str, request_id: str,
) -> None:  # fmt: skip
    """The line of the log about a request."""
    line = {
        "event": "request",
        "request_id": request_id,
        "method": method,
        "path": path,
        "operation": operation,
        "status": status,
        "ms": round(seconds * 1000, 2),
        "client": client,
        "who": who,
    }
    if (trace := trace_id()) is not None:
        line["trace_id"] = trace
    _log.info("%s %s: %s", method, path, status, extra={"told": line})


def headers_of(request_id: str) -> list[tuple[bytes, bytes]]:
    """What every answer says for safety, and its id."""
    return [*_ENCODED, (b"x-request-id", request_id.encode())]


def _with_headers(found: list[Any], request: Request) -> list[Any]:
    own = {**_HEADERS, "x-request-id": request.state.request_id}
    if request.url.path.startswith("/docs"):
        own["content-security-policy"] = _DOCS_POLICY
    there = {name.lower() for name, _ in found}
    more = [(k.encode(), v.encode()) for k, v in own.items() if k.encode() not in there]
    return [*found, *more]
