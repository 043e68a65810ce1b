"""What the tests of the sets share: members, stamps, and a wire that can be cut."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from relo_server.sets import ANY, Base, Lease, Sets, Stamp, new_version

AT = 1_790_000_000_000
KEYS = [i.to_bytes(16, "big") for i in range(1, 5_001)]
DAY = 86_400_000


def stamp(version: str, size: int, *, ttl: int = DAY, at: int = AT) -> Stamp:
    """A version's stamp; the server's clock decides when it ends, so it was built just now."""
    built = int(version.partition("-")[0])
    return Stamp(version, size, at, built, built + ttl, "print", 7)


def publish(
    sets: Sets,
    client: int,
    members: Sequence[bytes],
    *,
    name: str = "vip",
    base: str | Base | None = ANY,
    epoch: int | None = None,
    lease: Lease | None = None,
    ttl: int = DAY,
    now: int | None = None,
) -> str:
    """Publishes by a draft; the version."""
    version = new_version(wall_clock() if now is None else now)
    with sets.draft(client, name, version) as draft:
        draft.add([members])
        draft.publish(stamp(version, draft.size(), ttl=ttl), base=base, epoch=epoch, lease=lease)
    return version


def change(
    sets: Sets,
    client: int,
    base: str,
    *,
    entered: Iterable[bytes] = (),
    left: Iterable[bytes] = (),
    size: int,
    epoch: int | None = None,
    lease: Lease | None = None,
    ttl: int = DAY,
) -> str:
    """Changes `vip` in place to a version of `size` members; the version."""
    version = new_version(wall_clock(), base)
    sets.change(
        client, "vip", stamp(version, size, ttl=ttl),
        entered=list(entered), left=list(left), base=base, epoch=epoch, lease=lease,
    )  # fmt: skip
    return version


def wall_clock() -> int:
    """The server ends keys by the real clock, so versions that must live are built by it."""
    return int(time.time() * 1000)


class Wire:
    """A Unix socket before another one, which can be cut at a command, once.

    With `swallow` the command never arrives; else it arrives, and its answer does not.
    """

    def __init__(self, path: Path, server: Path) -> None:
        self.path = path
        self._server = server
        self._cut: tuple[bytes, bool, Callable[[], object]] | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_at(
        self, command: bytes, *, swallow: bool, then: Callable[[], object] = lambda: None
    ) -> None:
        """Cuts at the next such command; `then` runs before the client hears of it."""
        self._cut = (command, swallow, then)

    def close(self) -> None:
        """Takes no more connections; a second call does nothing."""
        if self._listener.fileno() == -1:
            return
        # Or the thread that waits in `accept` would still get one.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._server))
            threading.Thread(target=self._forth, args=(near, far), daemon=True).start()

    def _forth(self, near: socket.socket, far: socket.socket) -> None:
        with near, far:
            while True:
                ready, _, _ = select.select([near, far], [], [])
                source = ready[0]
                data = _received(source)
                if not data:
                    return
                if source is far:
                    near.sendall(data)
                elif self._cut is not None and self._cut[0] in data:
                    _, swallow, then = self._cut
                    self._cut = None
                    self.cuts += 1
                    if not swallow:
                        _deliver(far, data)
                    then()
                    return
                else:
                    far.sendall(data)


def _deliver(far: socket.socket, data: bytes) -> None:
    """Sends it on, and waits until the server has done it all; nobody gets the answers."""
    far.sendall(data)
    far.shutdown(socket.SHUT_WR)
    while _received(far):
        pass


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(1 << 20)
    except OSError:
        return b""
