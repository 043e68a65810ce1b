"""The workers of a service: started, started again where one dies, and ended in order."""

from __future__ import annotations

import logging
import pickle
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from relo_dsl.settings import Settings

#: A worker that dies is followed by another, but not faster than this.
_PAUSE_SECONDS = 1.0
_log = logging.getLogger("relo.api")


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker has to know: the socket to listen on and the one to the owner."""

    settings: Settings
    listening: int
    inside: Path


class Workers:
    """So many processes that accept connections on one listening socket."""

    def __init__(
        self, number: int, settings: Settings, listening: socket.socket, inside: Path
    ) -> None:
        self._orders = pickle.dumps(Orders(settings, listening.fileno(), inside))
        self._descriptor = listening.fileno()
        self._stopping = threading.Event()
        self._running = [self._start() for _ in range(number)]
        self._watching = threading.Thread(target=self._watch, name="workers", daemon=True)
        self._watching.start()

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C is for the owner, who ends the workers in order.
        process = subprocess.Popen(
            [sys.executable, "-m", "relo_server.api.worker"],
            stdin=subprocess.PIPE, pass_fds=[self._descriptor], start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(self._orders)
        process.stdin.flush()
        return process

    def _watch(self) -> None:
        while not self._stopping.wait(_PAUSE_SECONDS):
            for place, process in enumerate(self._running):
                if process.poll() is not None:
                    _log.error(
                        "worker %d ended (%d); another starts", process.pid, process.returncode
                    )
                    self._running[place] = self._start()

    def stop(self, seconds: float) -> None:
        """Has them finish what they began, at most so long, and end."""
        self._stopping.set()
        self._watching.join()
        for process in self._running:
            process.terminate()
        until = time.monotonic() + seconds
        for process in self._running:
            try:
                process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdin is not None
            process.stdin.close()
