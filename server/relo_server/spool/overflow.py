"""Where segments go that the disk has no room for: object storage, and a note in their place.

A segment is put there before its note is written, and removed from the disk after; wherever that
ends, one of the two is whole. The reader takes it from there in its turn, as if it had never left,
and deletes it when what it holds is stored. An object without a note is one whose disk was lost, or
was restored: `adopt` gives it a spool of its own, from which it is stored like any other.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from relo_dsl.errors import UserError
from relo_dsl.settings import Settings
from relo_server.spool.files import Files, RealFiles
from relo_server.spool.frames import Segment, segment_of

_NOTE = ".away"
_PLACE = "place"
_log = logging.getLogger("relo.spool")


class StorageError(OSError):
    """Object storage cannot be reached, or refuses."""


class Missing(StorageError):
    """There is no such object."""


class Away(NamedTuple):
    """Where a segment is, and how large; `released` where it may be gone, for it is not needed."""

    object: str
    size: int
    released: bool = False


class Storage:
    """Objects by name: a folder, or whatever obstore knows (`s3://bucket/prefix`, `gs://`, `az://`).

    Its calls may be made from several threads. All raise StorageError.
    """

    def __init__(self, store: Any, folder: Path | None = None) -> None:
        """`store` is one of obstore's; `folder` is where it is on the disk, to be synced."""
        self._store = store
        self._folder = folder

    @classmethod
    def of(cls, settings: Settings) -> Storage | None:
        """The one that the settings name, if any. Raises UserError as `open` does."""
        where = settings.ingest.overflow
        return cls.open(where, settings.data) if where else None

    @classmethod
    def open(cls, where: str, root: Path) -> Storage:
        """`where` is a URL, or a folder that may start at `root`. Raises UserError for neither."""
        from obstore.store import LocalStore, from_url

        try:
            if "://" in where:
                return cls(from_url(where))
            folder = root / where
            folder.mkdir(parents=True, exist_ok=True)
            return cls(LocalStore(folder), folder)
        except Exception as error:
            raise UserError(
                f"`ingest.overflow` cannot be used: {_first_line(error)}",
                "write a folder, or a URL such as `s3://bucket/prefix`",
            ) from error

    def put(self, name: str, data: bytes) -> None:
        """Keeps an object; it survives a power cut when this returns."""
        import obstore

        with _told_as(f"{name} cannot be put into storage"):
            obstore.put(self._store, name, data)
            if self._folder is not None:
                _sync(self._folder, self._folder / name)

    def get(self, name: str) -> bytes:
        """Raises Missing where there is none."""
        import obstore

        with _told_as(f"{name} cannot be read"):
            try:
                return bytes(obstore.get(self._store, name).bytes())
            except FileNotFoundError as error:
                raise Missing(f"{name} is not in storage") from error

    def delete(self, name: str) -> None:
        """Whatever there is of that name goes."""
        import obstore

        with _told_as(f"{name} cannot be deleted"), suppress(FileNotFoundError):
            obstore.delete(self._store, name)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """The bytes of each object, by name."""
        import obstore

        with _told_as("storage cannot be listed"):
            found = list(obstore.list(self._store, prefix or None))
        return {str(item["path"]): int(item["size"]) for part in found for item in part}


@contextmanager
def _told_as(what: str) -> Iterator[None]:
    """Whatever obstore and the disk raise becomes a StorageError that says `what` failed."""
    from obstore.exceptions import BaseError

    try:
        yield
    except StorageError:
        raise
    except (BaseError, OSError) as error:
        raise StorageError(f"{what}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _sync(root: Path, path: Path) -> None:
    """A file, and the folders that lead to it: obstore's own put leaves both to the system."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
    files, folder = RealFiles(), path.parent
    while folder != root.parent:
        files.sync_folder(folder)
        folder = folder.parent


@dataclass(frozen=True, slots=True)
class Overflow:
    """Where the segments of one spool go: a storage, and what their names there begin with."""

    storage: Storage
    prefix: str

    def ship(self, files: Files, folder: Path, segment: Segment) -> int:
        """Moves a segment that is closed; how many bytes that was. Raises OSError: then it is where
        it was, or in both places, which is the same.
        """
        path = folder / segment.name
        data = files.read(path, 0, files.size(path))
        name = f"{self.prefix}/{segment.name}"
        self.storage.put(name, data)
        write_note(files, folder / note_of(segment), Away(name, len(data)))
        files.remove(path)
        return len(data)


def note_of(segment: Segment) -> str:
    """The name of the file that stands for a segment which is away."""
    return segment.name.removesuffix(".spool") + _NOTE


def noted(name: str) -> Segment | None:
    """The segment that a note stands for; None for any other file."""
    if not name.endswith(_NOTE):
        return None
    return segment_of(name.removesuffix(_NOTE) + ".spool")


def read_note(files: Files, path: Path) -> Away:
    """What a note says. Raises StorageError for one that says nothing."""
    try:
        told = json.loads(files.read(path, 0, 4_096))
        return Away(str(told["object"]), int(told["size"]), bool(told.get("released", False)))
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is damaged: it does not say where the segment is") from error


def write_note(files: Files, path: Path, away: Away) -> None:
    """Says where a segment is; on disk when it returns. Raises OSError."""
    files.replace(path, json.dumps(away._asdict()).encode())


def place_of(spools: Path) -> str:
    """What tells this installation's objects from others'. Made once. Raises OSError."""
    files, path = RealFiles(), spools / _PLACE
    spools.mkdir(parents=True, exist_ok=True)
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        files.replace(path, secrets.token_hex(8).encode())
        return path.read_text(encoding="ascii").strip()


def places(storage: Storage) -> Counter[str]:
    """The places of which segments are in storage, and how many. Raises StorageError."""
    names = (name for name in storage.sizes() if segment_of(name.rpartition("/")[2]) is not None)
    return Counter(name.partition("/")[0] for name in names)


def adopt(storage: Storage, spools: Path, place: str) -> int:
    """Gives the objects of a place that have no note spools of their own, in the order in which
    they were written; how many there were. Raises OSError.
    """
    files = RealFiles()
    # In this order: whatever is on its way there meanwhile has a file, or else a note.
    objects = storage.sizes(place)
    left = {name for name in objects if not (spools / _file_of(name)).exists()}
    left -= {read_note(files, path).object for path in spools.glob(f"*/*{_NOTE}")}
    orphans: dict[str, list[tuple[Segment, str, int]]] = {}
    for name in left:
        prefix, _, last = name.rpartition("/")
        segment = segment_of(last)
        if segment is not None:
            orphans.setdefault(prefix, []).append((segment, name, objects[name]))
    for found in orphans.values():
        folder = _new_folder(spools)
        for segment, name, size in sorted(found):
            write_note(files, folder / note_of(segment), Away(name, size))
    count = sum(map(len, orphans.values()))
    if count:
        _log.warning("%d segments of events that are in storage alone are stored now", count)
    return count


def _file_of(name: str) -> str:
    """Where a segment lies, below the spools, before it is away: `PLACE/0/NAME` at `0/NAME`."""
    return name.partition("/")[2]


def _new_folder(spools: Path) -> Path:
    folder = spools / f"adopted-{secrets.token_hex(8)}"
    folder.mkdir()
    RealFiles().sync_folder(spools)
    return folder
