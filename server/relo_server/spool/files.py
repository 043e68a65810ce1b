"""What a spool does with the file system: few calls, so that tests can stand in for the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol


class Handle(Protocol):
    """A file that is being written, from its end on."""

    def append(self, data: bytes) -> None: ...
    def sync(self) -> None:
        """Returns when the disk has everything appended so far. Raises OSError; never try again."""

    def truncate(self, size: int) -> None: ...
    def close(self) -> None: ...


class Files(Protocol):
    """The calls, all of which raise OSError."""

    def create(self, path: Path) -> Handle:
        """A new file; FileExistsError where there is one."""

    def read(self, path: Path, offset: int, most: int) -> bytes: ...
    def size(self, path: Path) -> int: ...
    def names(self, folder: Path) -> list[str]: ...
    def replace(self, path: Path, data: bytes) -> None:
        """Puts data in place of a file, on disk when this returns; a crash leaves old or new."""

    def remove(self, path: Path) -> None: ...
    def sync_folder(self, folder: Path) -> None:
        """What was created and removed in it is on disk when this returns."""

    def free(self, folder: Path) -> int:
        """Bytes left on its disk."""


class _RealHandle:
    def __init__(self, file: int) -> None:
        self._file = file

    def append(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]

    def sync(self) -> None:
        os.fdatasync(self._file)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._file, size)
        os.lseek(self._file, size, os.SEEK_SET)

    def close(self) -> None:
        os.close(self._file)


class RealFiles:
    """The disk."""

    def create(self, path: Path) -> Handle:
        return _RealHandle(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        )

    def read(self, path: Path, offset: int, most: int) -> bytes:
        with path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), most, offset)

    def size(self, path: Path) -> int:
        return path.stat().st_size

    def names(self, folder: Path) -> list[str]:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is wanted

    def replace(self, path: Path, data: bytes) -> None:
        beside = path.with_name(path.name + ".new")
        beside.unlink(missing_ok=True)
        file = self.create(beside)
        try:
            file.append(data)
            file.sync()
        finally:
            file.close()
        beside.replace(path)
        self.sync_folder(path.parent)

    def remove(self, path: Path) -> None:
        path.unlink()

    def sync_folder(self, folder: Path) -> None:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)

    def free(self, folder: Path) -> int:
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize
