"""Batches of events: taken in wherever they arrive, by a worker as well as by the owner.

`Taking` stands in front of an application. A batch with a good token it takes itself, in whatever
process it is; what is refused as a whole takes the whole way through the routes, and what is said
there is said in one place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relo_dsl.errors import UserError
from relo_server.api.house import Front
from relo_server.api.looks import Told
from relo_server.api.problems import Problem, told_in
from relo_server.api.quick import answer_well, known_caller
from relo_server.ingest.bodies import lines_of, unpacked
from relo_server.ingest.intake import Checked, Sent, may_hide
from relo_server.ingest.payloads import encode
from relo_server.security.principals import Principal

OPERATION = "ingest.batch"
_PATH = "/ingest/batch"


async def take(
    front: Front, who: Principal, body: bytes, headers: Mapping[str, str]
) -> dict[str, Any]:
    """Takes a batch, and answers for it: it is on disk. Raises UserError where none of it is."""
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = headers.get("content-encoding", "").strip().lower()
    limits = front.settings.ingest
    sent = Sent(who.client, who.name, front.receipt())

    def work() -> Checked:
        whole = unpacked(body, encoding, limits.largest_batch)
        lines = lines_of(whole, media, limits.batch_events)
        return front.intake.check(sent, lines, harmless=not may_hide(whole))

    checked = await asyncio.wrap_future(front.checking.submit(work))
    await asyncio.wrap_future(front.intake.keep(checked))
    return told_in(headers, checked.to_json())


class Taking:
    """The application, and in front of it the short way for batches."""

    def __init__(self, app: ASGIApp, front: Front, told: Told) -> None:
        """`told` is called for each batch that was taken here."""
        self._app = app
        self._front = front
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == _PATH and scope["method"] == "POST":
            body = _Body(receive)
            if await self._taken(scope, body, send):
                return
            receive = body.again
        await self._app(scope, receive, send)

    async def _taken(self, scope: Scope, body: _Body, send: Send) -> bool:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        who = await known_caller(self._front, headers, OPERATION)
        if who is None or not await body.read(self._front.settings.ingest.largest_batch):
            return False
        plain = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        try:
            await self._front.count(who)
            answer = await take(self._front, who, body.whole, plain)
        except (UserError, Problem):
            return False
        self._told(await answer_well(scope, send, OPERATION, who, encode(answer), started))
        return True


class _Body:
    """The body of a request, which can be read once more by whoever comes after."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []
        self._next = 0

    @property
    def whole(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self._messages)

    async def read(self, most: int) -> bool:
        """Whether all of it came, and is no larger than that."""
        size, more = 0, True
        while more:
            message = await self._receive()
            self._messages.append(message)
            if message["type"] != "http.request":
                return False
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size > most:
                return False
        return True

    async def again(self) -> Message:
        if self._next < len(self._messages):
            self._next += 1
            return self._messages[self._next - 1]
        return await self._receive()
