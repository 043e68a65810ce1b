"""What the service does by itself, again and again, one thing after the other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relo_dsl.engine import EngineError
from relo_dsl.errors import UserError

_log = logging.getLogger("relo.api")


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do `every` so many seconds, for the first time `after` so many."""

    name: str
    work: Callable[[], object]
    every: float
    after: float


class Chores:
    """A thread that does chores until it is closed. One that fails is told, and tried next time."""

    def __init__(self, chores: Sequence[Chore]) -> None:
        self._chores = chores
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chores", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = {chore: time.monotonic() + chore.after for chore in self._chores}
        while due:
            chore = min(due, key=due.__getitem__)
            if self._ending.wait(max(0.0, due[chore] - time.monotonic())):
                return
            self._do(chore)
            due[chore] = time.monotonic() + chore.every

    def _do(self, chore: Chore) -> None:
        try:
            chore.work()
        except Exception as error:
            known = isinstance(error, UserError | EngineError | OSError)
            level = logging.WARNING if known else logging.ERROR
            trace = None if known else error
            _log.log(level, "%s failed, and is tried again: %s", chore.name, error, exc_info=trace)

    def close(self) -> None:
        """Ends after the chore that is being done."""
        self._ending.set()
        self._thread.join()
