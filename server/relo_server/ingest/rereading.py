"""A file that people edit while the service runs: read again when it has changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from relo_dsl.errors import UserError
from relo_server.refresh.schedule import stamped

T = TypeVar("T")
_log = logging.getLogger("relo.ingest")


class Reread(Generic[T]):
    """Calling it gives what the file says, from any thread. A file that cannot be read, which is
    told once for each change, leaves what it said before; None where it never said anything.
    """

    def __init__(self, path: Path, read: Callable[[Path], T], trouble: str) -> None:
        """`trouble` begins what is told."""
        self._path = path
        self._read = read
        self._trouble = trouble
        self._stamp: object = None
        self._known: T | None = None
        self._reading = threading.Lock()

    def __call__(self) -> T | None:
        with self._reading:  # whoever comes second waits for it
            stamp = stamped([self._path])
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._known = self._read(self._path)
                except (UserError, OSError) as error:
                    _log.error("%s: %s", self._trouble, error)
            return self._known
