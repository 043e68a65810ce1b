"""A disk in memory that forgets what was not synced, fails when told, and tears writes."""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from obstore.store import MemoryStore

from relo_server.spool.files import Handle
from relo_server.spool.overflow import Storage, StorageError


class FaultyFiles:
    """What `RealFiles` does, over two states: what processes see, and what the disk has.

    `fail_at` is how many calls that change anything succeed before one raises `error`; from a power
    cut on every call fails, until `restarted`.
    """

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.seen: dict[Path, bytearray] = {}
        self.durable: dict[Path, bytes] = {}
        """Bytes of files that are synced, by the names that the folder had when it was synced."""
        self._synced: dict[Path, bytes] = {}
        self.fail_at: int | None = None
        self.error = errno.EIO
        self.room = 2**40
        self.syncs = 0
        self._lock = threading.RLock()

    def _step(self, tear: tuple[Path, bytes] | None = None) -> None:
        if self.fail_at is None:
            return
        self.fail_at -= 1
        if self.fail_at >= 0:
            return
        if tear is not None:
            path, data = tear
            self.seen[path] += data[: self.random.randint(0, len(data))]
        if self.error != errno.EOWNERDEAD:  # a power cut lasts; other faults pass
            self.fail_at = None
        raise OSError(self.error, "fault")

    def cut_power(self, after: int = 0) -> None:
        """From then on nothing works."""
        self.fail_at, self.error = after, errno.EOWNERDEAD

    def restarted(self) -> None:
        """What the disk has of it: all that was synced, and of the rest any part or none."""
        with self._lock:
            self.fail_at, self.error = None, errno.EIO
            found = {}
            for path in self.durable.keys() | self.seen.keys():
                known = path in self.durable
                if not known and self.random.random() < 0.5:
                    continue  # its name was not synced
                if known and path not in self.seen and self.random.random() < 0.5:
                    continue  # its removal was not, and is there all the same
                base = self._synced.get(path, b"")
                now = bytes(self.seen.get(path, base))
                if now.startswith(base):
                    now = now[: self.random.randint(len(base), len(now))]
                found[path] = now
            self.seen = {path: bytearray(data) for path, data in found.items()}
            self.durable = dict(found)
            self._synced = dict(found)

    def create(self, path: Path) -> Handle:
        with self._lock:
            self._step()
            if path in self.seen:
                raise FileExistsError(path)
            self.seen[path] = bytearray()
            self._synced[path] = b""
            return _Handle(self, path)

    def read(self, path: Path, offset: int, most: int) -> bytes:
        with self._lock:
            if path not in self.seen:
                raise FileNotFoundError(path)
            return bytes(self.seen[path][offset : offset + most])

    def size(self, path: Path) -> int:
        with self._lock:
            if path not in self.seen:
                raise FileNotFoundError(path)
            return len(self.seen[path])

    def names(self, folder: Path) -> list[str]:
        with self._lock:
            return [path.name for path in self.seen if path.parent == folder]

    def replace(self, path: Path, data: bytes) -> None:
        with self._lock:
            self._step()
            # Before the folder is synced the old one may come back.
            if self.random.random() < 0.5:
                self.seen[path] = bytearray(data)
                self._synced[path] = data
            self._step()
            self.seen[path] = bytearray(data)
            self._synced[path] = self.durable[path] = data

    def remove(self, path: Path) -> None:
        with self._lock:
            self._step()
            del self.seen[path]

    def sync_folder(self, folder: Path) -> None:
        with self._lock:
            self._step()
            gone = [
                path for path in self.durable if path.parent == folder and path not in self.seen
            ]
            for path in gone:
                del self.durable[path]
                del self._synced[path]
            for path in self.seen:
                self.durable[path] = self._synced[path]

    def free(self, folder: Path) -> int:
        return self.room - sum(map(len, self.seen.values()))


class _Handle:
    def __init__(self, files: FaultyFiles, path: Path) -> None:
        self._files = files
        self._path = path

    def append(self, data: bytes) -> None:
        files = self._files
        with files._lock:
            if self._files.free(self._path.parent) < len(data):
                files.seen[self._path] += data[: max(0, files.free(self._path.parent))]
                raise OSError(errno.ENOSPC, "no space")
            files._step((self._path, data))
            files.seen[self._path] += data

    def sync(self) -> None:
        files = self._files
        with files._lock:
            files._step()
            files.syncs += 1
            files._synced[self._path] = bytes(files.seen[self._path])
            if self._path in files.durable:
                files.durable[self._path] = files._synced[self._path]

    def truncate(self, size: int) -> None:
        with self._files._lock:
            self._files._step()
            del self._files.seen[self._path][size:]

    def close(self) -> None:
        pass


class FaultyStorage(Storage):
    """Object storage in memory, one of whose calls fails when told: before it did anything, or
    after it has, which its caller cannot tell apart.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(MemoryStore())
        self.fail_at: int | None = None
        self._random = random.Random(seed)

    def _step(self, call: Callable[[], Any]) -> Any:
        fails = self.fail_at == 0
        if self.fail_at is not None:
            self.fail_at = None if fails else self.fail_at - 1
        if fails and self._random.random() < 0.5:
            raise StorageError("fault")
        found = call()
        if fails:
            raise StorageError("fault")
        return found

    def put(self, name: str, data: bytes) -> None:
        self._step(lambda: super(FaultyStorage, self).put(name, data))

    def get(self, name: str) -> bytes:
        found: bytes = self._step(lambda: super(FaultyStorage, self).get(name))
        return found

    def delete(self, name: str) -> None:
        self._step(lambda: super(FaultyStorage, self).delete(name))
