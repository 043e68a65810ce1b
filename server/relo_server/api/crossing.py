"""Answers to the pixel that a page may read, on whatever host the page is.

A browser keeps an answer from a page of another origin unless it names that origin, and the page
then takes a refusal for a lost network. So errors name it as well, also those of the outermost
layer. An origin that may not send is not named: what it asks for is refused, and it sees no more.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relo_server.api.house import Front

_PATHS = frozenset({"/p", "/p/device"})
_FORBIDDEN = 403


class Crossing:
    """The application, and around it what makes the pixel's answers readable."""

    def __init__(self, app: ASGIApp, front: Front) -> None:
        self._app = app
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in _PATHS:
            await self._app(scope, receive, send)
            return
        origin = Headers(scope=scope).get("origin")

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                if self._may_read(origin, message["status"]):
                    headers["Access-Control-Allow-Origin"] = origin or ""
                    headers["Access-Control-Expose-Headers"] = "Retry-After"
            await send(message)

        await self._app(scope, receive, sending)

    def _may_read(self, origin: str | None, status: int) -> bool:
        """A body that cannot be read names no client: any one's pages may see what was wrong."""
        allowed = self._front.settings.ingest.origins.values()
        return status != _FORBIDDEN and any(origin in origins for origins in allowed)
