"""How every process of the service serves: uvicorn's settings, and the log."""

from __future__ import annotations

import gc
import json
import logging
import sys
from typing import Any, Literal

import uvicorn

#: In-flight work has so long to end after SIGTERM; a build that takes longer is finished all the
#: same before the process ends.
GRACE_SECONDS = 30
_TURN_SECONDS = 0.0005
#: New objects until the garbage collector looks at them.
_YOUNG = 20_000


def config_of(app: Any, lifespan: Literal["auto", "off"] = "auto") -> uvicorn.Config:
    """uvicorn without logs of its own."""
    return uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, lifespan=lifespan,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )  # fmt: skip


def settle() -> None:
    """To be called when a process of the service has everything loaded.

    Threads take turns ten times as often as by default: whoever waits for a click or a look-up must
    not wait for batches that are being checked or stored. What is there stays there, so the garbage
    collector need not look at it each time that a batch makes many objects.
    """
    sys.setswitchinterval(_TURN_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)


def log_to_stderr() -> None:
    """The log of this process, from here on: JSON objects, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_AsJson())
    for name, level in (("relo", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False


class _AsJson(logging.Formatter):
    """A JSON object a line, whatever was said."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {"at": self.formatTime(record), "level": record.levelname.lower()}
        # What is told of a request; whatever else is said is a text.
        told |= getattr(record, "told", None) or {"event": "log", "message": record.getMessage()}
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told)

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    @staticmethod
    def converter(seconds: float | None) -> object:  # type: ignore[override]
        import time

        return time.gmtime(seconds)
