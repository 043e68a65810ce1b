"""The door between workers and the process that owns the engine: a Unix socket of their own.

Workers face the network: they answer look-ups and hand everything else over, as it came, with the
address that it came from. Nobody else can open the socket: its folder belongs to the owner's user.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from relo_dsl.errors import UserError
from relo_server.api.looks import Look, Told
from relo_server.api.problems import Problem, answer

#: Where workers tell of the look-ups that they answered.
LOOKS = "/-/looks"
_ADDRESS = b"x-relo-address"
#: What is between two hops only, and not handed over.
_OF_ONE_HOP = frozenset({b"connection", b"keep-alive", b"te", b"upgrade", b"transfer-encoding"})
#: Requests that wait for the owner at a time; more wait in the worker.
_AT_ONCE = 200


def inner_socket(path: Path) -> socket.socket:
    """A Unix socket that listens, in place of one that a process left. Raises UserError."""
    path.unlink(missing_ok=True)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        found.bind(str(path))
        path.chmod(0o600)
        found.listen(1_024)
    except OSError as error:
        found.close()
        raise UserError(
            f"cannot listen on {path}: {error.strerror or error}",
            "`data` in relo.toml names the folder; the path may have 100 bytes",
        ) from error
    return found


class Inside:
    """The owner's application as workers reach it: requests come from whom they say."""

    def __init__(self, app: ASGIApp, told: Told) -> None:
        self._app = app
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == LOOKS:
            await self._listen(Request(scope, receive))
            await Response(status_code=204)(scope, receive, send)
            return
        headers = dict(scope["headers"])
        address = headers.get(_ADDRESS, b"").decode("latin-1")
        kept = [pair for pair in scope["headers"] if pair[0] != _ADDRESS]
        await self._app({**scope, "client": (address, 0), "headers": kept}, receive, send)

    async def _listen(self, request: Request) -> None:
        """Look-ups, a line each, as they come: a worker tells of them as long as it lives."""
        rest = b""
        async for chunk in request.stream():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._told(Look(*json.loads(line)))


class Handover:
    """A worker's application: hands a request over to the owner, and its answer back."""

    def __init__(self, path: Path) -> None:
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                uds=str(path), limits=httpx.Limits(max_connections=_AT_ONCE)
            ),
            base_url="http://owner",
            timeout=httpx.Timeout(None, connect=5),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        headers = [pair for pair in scope["headers"] if pair[0] not in _OF_ONE_HOP | {_ADDRESS}]
        address = scope["client"][0] if scope.get("client") else ""
        target = scope["raw_path"] + (
            b"?" + scope["query_string"] if scope["query_string"] else b""
        )
        names = {name for name, _ in scope["headers"]}
        has_body = bool(names & {b"content-length", b"transfer-encoding"})
        asked = self._http.build_request(
            scope["method"],
            httpx.URL("http://owner").copy_with(raw_path=target),
            headers=[*headers, (_ADDRESS, address.encode())],
            content=request.stream() if has_body else None,
        )
        try:
            found = await self._http.send(asked, stream=True)
        except httpx.TransportError:
            gone = Problem(
                503, "store", "the process that works with the engine does not answer",
                "ask again in a moment", headers={"Retry-After": "5"},
            )  # fmt: skip
            await answer(request, gone)(scope, receive, send)
            return
        response = StreamingResponse(found.aiter_raw(), found.status_code)
        response.raw_headers = [
            (name.lower(), value) for name, value in found.headers.raw
            if name.lower() not in _OF_ONE_HOP
        ]  # fmt: skip
        try:
            await response(scope, receive, send)
        finally:
            await found.aclose()

    async def tell(self, lines: AsyncIterator[bytes]) -> None:
        """Tells the owner of look-ups. Raises httpx.HTTPError where it is not there."""
        (await self._http.post(LOOKS, content=lines)).raise_for_status()

    async def close(self) -> None:
        await self._http.aclose()
