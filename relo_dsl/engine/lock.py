"""One process at a time uses an embedded store; whoever comes second is told who is first."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from pathlib import Path

from relo_dsl.errors import UserError
from relo_dsl.times import format_instant


class InUse(UserError):
    """Somebody else has the store."""


class FolderLock:
    """An exclusive lock on a file, which the system drops when the process ends, however it ends.

    The file says which process holds it: `{"pid": 123, "command": "relo build", "since": MS}`.
    """

    def __init__(self, path: Path, store: str, setting: str | None) -> None:
        """Takes the lock. Raises UserError, naming `store` and the `setting` that shares it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._file, 4096)
            os.close(self._file)
            raise _in_use(holder, path, store, setting) from None
        with contextlib.suppress(OSError):  # on a full disk it says nothing, and holds
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps(_self()).encode(), 0)

    def release(self) -> None:
        """Lets go of the lock; a second call does nothing."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = -1


def _self() -> dict[str, object]:
    name = Path(sys.argv[0] or "python").name
    command = " ".join([name, *sys.argv[1:3]])
    return {"pid": os.getpid(), "command": command[:80], "since": int(time.time() * 1000)}


def _in_use(holder: bytes, path: Path, store: str, setting: str | None) -> InUse:
    hint = "only one process may use it at a time"
    if setting is not None:
        hint = "to let several processes share it, run a server and name it in "
        hint += f"`{setting}` of relo.toml"
    try:
        who = json.loads(holder)
        pid, command, since = int(who["pid"]), str(who["command"]), int(who["since"])
    except (ValueError, KeyError, TypeError):
        return InUse(f"the embedded {store} in {path.parent} is in use by another process", hint)
    if pid == os.getpid():
        return InUse(f"the embedded {store} in {path.parent} is already open in this process")
    return InUse(
        f"the embedded {store} in {path.parent} is in use by process {pid} "
        f"(`{command}`, since {format_instant(since)})",
        f"wait until it ends, or stop it with `kill {pid}`; {hint}",
    )
