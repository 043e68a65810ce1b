"""Segments that went into object storage: read in their turn, once, rewritten, deleted, adopted."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from relo_dsl.errors import UserError
from relo_server.spool import SpoolFull, SpoolReader, SpoolWriter
from relo_server.spool.overflow import (
    Missing,
    Overflow,
    Storage,
    StorageError,
    adopt,
    place_of,
    places,
)
from tests.spool.faulty import FaultyStorage


@pytest.fixture
def storage() -> Storage:
    return Storage(MemoryStore())


def opened(folder: Path, storage: Storage, limit: int = 2**30) -> SpoolWriter:
    return SpoolWriter(
        folder, segment_bytes=200, reserve_bytes=0, limit_bytes=limit,
        overflow=Overflow(storage, "here/0"),
    )  # fmt: skip


def taken(reader: SpoolReader) -> list[bytes]:
    frames = reader.read(2**30)
    return [frame.payload for frame in frames]


def payloads(count: int) -> list[bytes]:
    return [b"payload %04d" % number + b"." * 40 for number in range(count)]


def keep(writer: SpoolWriter, wanted: list[bytes]) -> None:
    for payload in wanted:
        while True:
            try:
                writer.keep(payload).result()
                break
            except SpoolFull:
                time.sleep(0.01)


def shipped(writer: SpoolWriter, most: int = 1_000) -> int:
    count = 0
    while count < most and writer.make_room():
        count += 1
    return count


def test_more_is_kept_than_the_disk_may_hold(tmp_path: Path, storage: Storage) -> None:
    folder, wanted = tmp_path / "0", payloads(200)
    with opened(folder, storage, limit=3_000) as writer:
        keep(writer, wanted)
        held = sum(path.stat().st_size for path in folder.glob("*.spool"))
        assert held <= 3_000
        assert len(storage.sizes("here/0")) > 20
        with SpoolReader(folder, storage=storage) as reader:
            assert taken(reader) == wanted, "all of it, in order"
            assert reader.pending().bytes > 200 * 50
    with SpoolReader(folder, storage=storage) as reader, opened(folder, storage):
        frames = reader.read(2**30)
        assert [frame.payload for frame in frames] == wanted, "by another process too"
        reader.release(frames[99].end)
        assert taken(reader) == []
        reader.again()
        assert taken(reader) == wanted[100:]
        reader.release(frames[-1].end)
        assert reader.pending().bytes == 0
    assert storage.sizes() == {}
    assert list(folder.glob("*.away")) == []


def test_storage_that_is_away_means_no_more_than_the_limit(tmp_path: Path) -> None:
    storage = FaultyStorage()

    def away(name: str, data: bytes) -> None:
        raise StorageError(f"{name}, {len(data)}: away")

    storage.put = away  # type: ignore[method-assign]
    wanted = payloads(200)
    kept: list[bytes] = []
    with opened(tmp_path / "0", storage, limit=3_000) as writer:
        try:
            for payload in wanted:
                writer.keep(payload).result()
                kept.append(payload)
        except SpoolFull:
            assert len(kept) > 20
        assert len(kept) < 60
        with SpoolReader(tmp_path / "0", storage=storage) as reader:
            assert taken(reader) == kept


def test_what_is_away_is_rewritten_there(tmp_path: Path, storage: Storage) -> None:
    folder = tmp_path / "0"
    with opened(folder, storage) as writer:
        keep(writer, payloads(30))
        assert shipped(writer) > 3
        with SpoolReader(folder, storage=storage) as reader:
            assert reader.rewrite(lambda payload: payload[:12]) > 20
            assert all(b"...." not in storage.get(name) for name in storage.sizes())
            found = taken(reader)
    assert found[:20] == [payload[:12] for payload in payloads(20)]


def test_a_reader_that_stands_in_a_segment_that_leaves(tmp_path: Path, storage: Storage) -> None:
    folder = tmp_path / "0"
    with opened(folder, storage) as writer, SpoolReader(folder, storage=storage) as reader:
        keep(writer, payloads(10))
        assert [frame.payload for frame in reader.read(1)] == payloads(1)
        shipped(writer)
        assert taken(reader) == payloads(10)[1:]


def test_storage_that_fails_in_the_midst_of_a_read(tmp_path: Path, storage: Storage) -> None:
    """The first segment is on the disk, and was collected when the second could not be had."""
    folder, wanted = tmp_path / "0", payloads(10)
    with opened(folder, storage) as writer, SpoolReader(folder, storage=storage) as reader:
        keep(writer, wanted)
        shipped(writer, most=1)
        get, failing = storage.get, [StorageError("away")]

        def once(name: str) -> bytes:
            if failing:
                raise failing.pop()
            return get(name)

        storage.get = once  # type: ignore[method-assign]
        with pytest.raises(StorageError):
            reader.read(2**30)
        assert taken(reader) == wanted


def test_an_object_that_is_not_there_is_not_passed_over(tmp_path: Path, storage: Storage) -> None:
    """The storage is another one, or not mounted, or somebody has taken it."""
    folder = tmp_path / "0"
    with opened(folder, storage) as writer, SpoolReader(folder, storage=storage) as reader:
        keep(writer, payloads(30))
        shipped(writer)
        gone = sorted(storage.sizes())[1]
        data = storage.get(gone)
        storage.delete(gone)
        for _ in range(2):
            with pytest.raises(StorageError, match=f"{gone} is not in the storage"):
                reader.read(2**30)
        storage.put(gone, data)
        frames = reader.read(2**30)
        assert [frame.payload for frame in frames] == payloads(30)
        reader.release(frames[-1].end)
        assert list(folder.glob("*.away")) == []


def test_a_crash_between_an_object_and_its_note(tmp_path: Path, storage: Storage) -> None:
    """The object is deleted, and the note and the checkpoint still say that it is needed."""
    folder = tmp_path / "0"
    with opened(folder, storage) as writer:
        keep(writer, payloads(10))
        shipped(writer)
        delete = storage.delete

        def killed(name: str) -> None:
            delete(name)
            raise KeyboardInterrupt

        storage.delete = killed  # type: ignore[method-assign]
        with SpoolReader(folder, storage=storage) as reader:
            frames = reader.read(2**30)
            with pytest.raises(KeyboardInterrupt):
                reader.release(frames[-1].end)
        storage.delete = delete  # type: ignore[method-assign]
        with SpoolReader(folder, storage=storage) as reader:
            again = reader.read(2**30)
            assert 0 < len(again) < 10, "the first segment's were stored"
            reader.release(again[-1].end)
    assert storage.sizes() == {}


def test_without_storage_nothing_that_is_away_is_passed_over(
    tmp_path: Path, storage: Storage
) -> None:
    folder = tmp_path / "0"
    with opened(folder, storage) as writer:
        keep(writer, payloads(10))
        shipped(writer)
    with SpoolReader(folder) as reader, pytest.raises(StorageError, match="names none"):
        reader.read(2**30)


def test_a_note_that_is_damaged_stops_what_comes_after(tmp_path: Path, storage: Storage) -> None:
    folder = tmp_path / "0"
    with opened(folder, storage) as writer:
        keep(writer, payloads(10))
        shipped(writer)
    min(folder.glob("*.away")).write_text("nonsense")
    with SpoolReader(folder, storage=storage) as reader:
        with pytest.raises(StorageError, match="is damaged"):
            reader.read(2**30)
        assert len(list(folder.glob("*.away"))) > 1


def test_numbers_go_on_after_what_is_away(tmp_path: Path, storage: Storage) -> None:
    folder = tmp_path / "0"
    with opened(folder, storage) as writer:
        keep(writer, payloads(10))
    with opened(folder, storage) as writer:
        shipped(writer)
    for path in folder.glob("*.spool"):
        path.unlink()  # all that is left is in storage
    with opened(folder, storage) as writer, SpoolReader(folder, storage=storage) as reader:
        keep(writer, [b"after"])
        assert taken(reader) == [*payloads(10), b"after"]


# ---- a disk that was lost ------------------------------------------------------------------------


def emptied(spools: Path, storage: Storage) -> list[bytes]:
    """Everything that the spools of a folder hold, one after the other, released."""
    found = []
    for folder in sorted(path for path in spools.iterdir() if path.is_dir()):
        with SpoolReader(folder, storage=storage) as reader:
            frames = reader.read(2**30)
            found += [frame.payload for frame in frames]
            if frames:
                reader.release(frames[-1].end)
            assert reader.read(2**30) == []
    return found


@pytest.fixture
def lost(tmp_path: Path, storage: Storage) -> Path:
    """The spools of an installation that comes after one whose disk was lost."""
    old, new = tmp_path / "old", tmp_path / "new"
    with SpoolWriter.free(old, storage=storage, limit_bytes=2**20) as writer:
        writer._segment_bytes = 200
        keep(writer, payloads(30))
        while writer.make_room():
            pass
    with SpoolReader(old / "0", storage=storage) as reader:
        frames = reader.read(2**30)
    assert len(storage.sizes(place_of(old))) > 5
    shutil.rmtree(old)
    new.mkdir()
    assert len(frames) == 30
    return new


def test_what_is_in_storage_alone_is_adopted(lost: Path, storage: Storage) -> None:
    objects = len(storage.sizes())
    assert adopt(storage, lost, place_of(lost)) == 0, "of others only when told to"
    ((other, count),) = places(storage).items()
    assert (adopt(storage, lost, other), count) == (objects, objects)
    assert adopt(storage, lost, other) == 0, "once"
    found = emptied(lost, storage)
    assert found == payloads(30)[: len(found)]
    assert len(found) > 20
    assert storage.sizes() == {}, "the last of a spool that nobody writes to goes as well"


def test_a_restored_disk_adopts_its_own(tmp_path: Path, storage: Storage) -> None:
    """The backup is of before, and its checkpoint says nothing of numbers that came after."""
    spools = tmp_path / "spools"
    place = place_of(spools)
    with SpoolWriter.free(spools, storage=storage, limit_bytes=2**20) as writer:
        writer._segment_bytes = 200
        keep(writer, payloads(10))
        shipped(writer)
    for path in spools.glob("0/*.away"):
        path.unlink()
    assert adopt(storage, spools, place) > 0
    assert set(payloads(10)) <= {*emptied(spools, storage)}


# ---- a folder ------------------------------------------------------------------------------------


def test_a_folder_is_the_default_storage(tmp_path: Path) -> None:
    storage = Storage.open("overflow", tmp_path)
    storage.put("a/0/x", b"data")
    assert (tmp_path / "overflow/a/0/x").read_bytes() == b"data"
    assert storage.get("a/0/x") == b"data"
    assert storage.sizes("a") == {"a/0/x": 4}
    storage.delete("a/0/x")
    storage.delete("a/0/x")
    with pytest.raises(Missing):
        storage.get("a/0/x")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "overflow").write_text("")
    with pytest.raises(UserError, match=r"`ingest\.overflow` cannot be used"):
        Storage.open("overflow", tmp_path)
    with pytest.raises(UserError, match=r"`ingest\.overflow` cannot be used"):
        Storage.open("nonsense://bucket", tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    storage = Storage.open("overflow", tmp_path)
    (tmp_path / "overflow/a").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="cannot be put into storage"):
        storage.put("a/0/x", b"data")
