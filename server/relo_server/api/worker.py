"""A worker: `python -m relo_server.api.worker`, started by `relo serve --workers`.

It inherits the listening socket. What it has to know comes pickled on standard input, which stays
open as long as the owner lives; its end is the worker's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import pickle
import socket
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from relo_server.api.clicking import Clicking
from relo_server.api.house import Front
from relo_server.api.inside import Handover
from relo_server.api.looks import Look
from relo_server.api.quick import Quick
from relo_server.api.serving import config_of, log_to_stderr, settle
from relo_server.api.taking import Taking
from relo_server.api.workers import Orders

#: Look-ups of so long are told of together.
_TOGETHER_SECONDS = 0.05
#: The owner that was not there is asked again after so long.
_AGAIN_SECONDS = 1.0
_log = logging.getLogger("relo.api")


class Worker:
    """The worker's application."""

    def __init__(self, front: Front, handover: Handover) -> None:
        self._handover = handover
        self._lines: list[bytes] = []
        self._ending = asyncio.Event()
        taking = Taking(handover, front, self._note)
        self._short = Quick(Clicking(taking, front, self._note), front, self._note)

    def _note(self, look: Look) -> None:
        self._lines.append(json.dumps(look).encode() + b"\n")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._short(scope, receive, send)

    @contextlib.asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Meanwhile the owner is told of look-ups; at the end of all that are left."""
        going = asyncio.create_task(self._tell())
        try:
            yield
        finally:
            self._ending.set()
            await going
            await self._handover.close()

    async def _tell(self) -> None:
        while self._lines or not self._ending.is_set():
            try:
                await self._handover.tell(self._written())
            except httpx.HTTPError as error:
                _log.warning("the owner cannot be told of look-ups: %s", error)
                await asyncio.sleep(_AGAIN_SECONDS)
                if self._ending.is_set():
                    return

    async def _written(self) -> AsyncIterator[bytes]:
        while self._lines or not self._ending.is_set():
            if self._lines:
                lines, self._lines = self._lines, []
                yield b"".join(lines)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TOGETHER_SECONDS):
                    await self._ending.wait()


async def _serve(orders: Orders, front: Front) -> None:
    worker = Worker(front, Handover(orders.inside))
    server = uvicorn.Server(config_of(worker, lifespan="off"))

    def watch() -> None:
        sys.stdin.buffer.read()  # until the owner has ended, however it did
        server.should_exit = True

    threading.Thread(target=watch, daemon=True).start()
    async with worker.telling():
        with socket.socket(fileno=orders.listening) as listening:
            await server.serve([listening])
    await front.leave()


def main() -> None:
    """Serves until the owner ends, or SIGTERM."""
    orders: Any = pickle.load(sys.stdin.buffer)  # noqa: S301 - of the process that started us
    assert isinstance(orders, Orders)
    log_to_stderr()
    with Front.open(orders.settings) as front:
        settle()
        asyncio.run(_serve(orders, front))


if __name__ == "__main__":
    main()
