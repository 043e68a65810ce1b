"""The process that owns the engine: it serves alone, or behind workers that face the network."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from socket import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from relo_server.api.app import make_app
from relo_server.api.house import House
from relo_server.api.inside import Inside, inner_socket
from relo_server.api.looks import teller
from relo_server.api.serving import GRACE_SECONDS, config_of, settle
from relo_server.api.workers import Workers

#: The socket that workers reach the owner by, in the data folder.
SOCKET = "api.sock"


def serve(house: House, listening: socket, number: int, *, ready: Callable[[], None]) -> None:
    """Serves until SIGTERM or SIGINT, with so many workers; `ready` is called when it does."""
    app = make_app(house)
    settle()
    if not number:
        ready()
        _Server(app, app, lambda: None).run([listening])
        return
    path = house.settings.data / SOCKET
    shared = house.settings
    if (sets := house.sets.shared_url) is not None:
        shared = shared.model_copy(update={"sets": sets})
    with ExitStack() as stack:
        inside = stack.enter_context(inner_socket(path))
        stack.callback(path.unlink, missing_ok=True)
        workers = Workers(number, shared, listening, path)
        ready()
        front = Inside(app, teller(house, app.state.metrics))
        _Server(front, app, lambda: workers.stop(GRACE_SECONDS)).run([inside])


class _Server(uvicorn.Server):
    """One whose streams end when it is told to stop, and whose workers have ended before it does.

    uvicorn would send itself the signal once more when it has stopped, and end the process before
    the stores are closed.
    """

    def __init__(self, served: ASGIApp, app: FastAPI, before: Callable[[], None]) -> None:
        super().__init__(config_of(served))
        self._streams = app
        self._before = before

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._streams.state.stopping.set()
        if sig == signal.SIGINT and self.should_exit:
            self.force_exit = True
        threading.Thread(target=self._stop, daemon=True).start()

    def _stop(self) -> None:
        # What workers have begun they hand over to us: we go on until they have ended.
        self._before()
        self.should_exit = True
