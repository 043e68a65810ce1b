"""How far a spool is released, as its folder says."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from relo_server.spool.files import Files
from relo_server.spool.frames import START, Position

CHECKPOINT = "checkpoint"
#: Held by whoever writes to the folder.
WRITER = "writer.lock"
_log = logging.getLogger("relo.spool")


def checkpoint(files: Files, folder: Path) -> Position:
    """The position up to which everything is released; the beginning where nothing says so.

    What is read twice is stored once; so a checkpoint that is lost costs time and nothing else.
    """
    path = folder / CHECKPOINT
    try:
        told = json.loads(files.read(path, 0, 4096))
        return Position(int(told["segment"]), int(told["offset"]))
    except FileNotFoundError:
        return START
    except (ValueError, KeyError, TypeError):
        _log.error("%s is damaged: the spool is read again from its beginning", path)
        return START
