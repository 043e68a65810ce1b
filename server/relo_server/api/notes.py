"""Lines of the audit, written one after the other by one thread, many in a transaction."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import groupby

from relo_server.platform import Platform
from relo_server.platform.audit import Audit, Entry

_log = logging.getLogger("relo.api")
_Line = tuple[int | None, Entry, Future[None], bool]
#: Lines that go into one transaction at most.
_TOGETHER = 2_000
#: How long a line waits that nobody waits for.
_MOMENT_SECONDS = 0.1


class Notes:
    """Whoever waits for a line waits for its transaction, and shares that with others."""

    def __init__(self, platform: Platform, audit: Audit, clock: Callable[[], int]) -> None:
        self._platform = platform
        self._audit = audit
        self._clock = clock
        self._waiting: queue.SimpleQueue[_Line | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
        self._thread.start()

    def add(self, client: int | None, entry: Entry, *, urgent: bool = True) -> Future[None]:
        """Has a line written, in its client's chain where there is a client.

        One that is not urgent waits a moment for others, so that many cost one transaction.
        """
        written: Future[None] = Future()
        self._waiting.put((client, entry, written, urgent))
        return written

    def close(self) -> None:
        """Writes what waits and ends."""
        self._waiting.put(None)
        self._thread.join()

    def _write(self) -> None:
        while lines := list(self._taken()):
            for client, group in groupby(lines, key=lambda line: line[0]):
                self._write_together(client, list(group))

    def _taken(self) -> Iterator[_Line]:
        """The next line, and those that wait behind it; none at the end."""
        line = self._waiting.get()
        until = time.monotonic() + _MOMENT_SECONDS
        for _ in range(_TOGETHER):
            if line is None:
                self._waiting.put(None)
                return
            yield line
            until = 0.0 if line[3] else until
            try:
                line = self._waiting.get(timeout=max(until - time.monotonic(), 0.0))
            except queue.Empty:
                return
        self._waiting.put(line)

    def _write_together(self, client: int | None, lines: list[_Line]) -> None:
        where = self._platform.shared() if client is None else self._platform.tenant(client)
        try:
            with where as session:
                now = self._clock()
                self._audit.append_all(session, [(entry, now) for _, entry, *_ in lines])
        except Exception as error:
            # Whoever waits for a line is told, and answers with an error; of the others the log is.
            _log.exception("%d lines of the audit could not be written", len(lines))
            for _, _, written, _ in lines:
                written.set_exception(error)
        else:
            for _, _, written, _ in lines:
                written.set_result(None)
