"""Writer and reader of a spool on a real disk."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from relo_dsl.errors import UserError
from relo_server.spool import SpoolError, SpoolFull, SpoolReader, SpoolWriter
from relo_server.spool.files import RealFiles
from relo_server.spool.frames import HEAD_BYTES, START
from tests.spool.faulty import FaultyFiles


def kept(writer: SpoolWriter, *payloads: bytes) -> None:
    for future in [writer.keep(payload) for payload in payloads]:
        future.result(10)


def taken(reader: SpoolReader, most: int = 2**30) -> list[bytes]:
    return [frame.payload for frame in reader.read(most)]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[SpoolReader]:
    with SpoolReader(tmp_path / "spool") as found:
        yield found


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[SpoolWriter]:
    with SpoolWriter(tmp_path / "spool", segment_bytes=200, reserve_bytes=0) as found:
        yield found


def test_what_is_kept_is_read_in_order_across_segments(
    writer: SpoolWriter, reader: SpoolReader
) -> None:
    payloads = [b"payload %d" % number for number in range(100)]
    for payload in payloads:
        kept(writer, payload)
    assert taken(reader, 1) == payloads[:1]
    assert taken(reader) == payloads[1:]
    assert taken(reader) == []
    kept(writer, b"more")
    assert taken(reader) == [b"more"]
    reader.again()
    assert taken(reader) == [*payloads, b"more"]


def test_what_is_released_is_gone(tmp_path: Path, writer: SpoolWriter, reader: SpoolReader) -> None:
    kept(writer, *(b"%d" % number * 50 for number in range(50)))
    frames = reader.read(2**30)
    assert reader.pending().bytes == sum(len(item.payload) + HEAD_BYTES for item in frames)
    reader.release(frames[39].end)
    assert reader.pending().bytes == sum(len(item.payload) + HEAD_BYTES for item in frames[40:])
    reader.release(frames[-1].end)
    assert reader.pending().bytes == 0
    left = [path for path in (tmp_path / "spool").iterdir() if path.suffix == ".spool"]
    assert len(left) == 1, "only the one that is being written"


def test_another_process_goes_on_where_this_one_released(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    for number in range(4):  # each time both start anew
        with SpoolWriter(folder, reserve_bytes=0) as writer:
            kept(writer, b"a%d" % number, b"b%d" % number)
        with SpoolReader(folder) as reader:
            frames = reader.read(2**30)
            assert [item.payload for item in frames][-2:] == [b"a%d" % number, b"b%d" % number]
            reader.release(frames[-2].end)


def test_a_frame_larger_than_a_piece_is_read(writer: SpoolWriter, reader: SpoolReader) -> None:
    large = bytes(range(256)) * 2**16  # 16 MiB
    kept(writer, b"before", large, b"after")
    assert taken(reader) == [b"before", large, b"after"]


def test_one_sync_for_all_that_waits(tmp_path: Path) -> None:
    files = FaultyFiles()
    with SpoolWriter(tmp_path, files=files) as writer:
        waiting = [writer.keep(b"%d" % number) for number in range(1_000)]
        for future in waiting:
            future.result(10)
    assert files.syncs < 500


def test_whoever_goes_away_stops_nothing(writer: SpoolWriter, reader: SpoolReader) -> None:
    future: Future[None] = writer.keep(b"gone")
    assert not future.cancel()
    kept(writer, b"next")
    assert taken(reader) == [b"gone", b"next"]


def test_two_writers_or_readers_on_one_spool(
    tmp_path: Path, writer: SpoolWriter, reader: SpoolReader
) -> None:
    with pytest.raises(UserError, match="spool"):
        SpoolWriter(tmp_path / "spool")
    with pytest.raises(UserError, match="spool"):
        SpoolReader(tmp_path / "spool")


def test_past_its_limit_it_takes_nothing_and_again_when_there_is_room(
    tmp_path: Path, reader: SpoolReader
) -> None:
    now = [0.0]
    with SpoolWriter(
        tmp_path / "spool", segment_bytes=500, limit_bytes=2_000, reserve_bytes=0,
        clock=lambda: now[0],
    ) as writer:  # fmt: skip
        count = 0

        def fill() -> None:
            nonlocal count
            while count < 1_000:
                kept(writer, b"x" * 80)
                count += 1

        with pytest.raises(SpoolFull) as told:
            fill()
        assert 10 <= count <= 20
        assert told.value.retry_after > 0
        frames = reader.read(2**30)
        assert len(frames) == count
        reader.release(frames[-1].end)
        now[0] += 1
        kept(writer, b"again")
    assert taken(reader) == [b"again"]


def test_a_disk_that_is_nearly_full_is_left_to_others(tmp_path: Path) -> None:
    files = FaultyFiles()
    files.room = 1_000
    with (
        SpoolWriter(tmp_path, files=files, reserve_bytes=2_000) as writer,
        pytest.raises(SpoolFull),
    ):
        writer.keep(b"x")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_write_that_fails_is_told_and_the_next_one_works(tmp_path: Path, number: int) -> None:
    files = FaultyFiles()
    with SpoolWriter(tmp_path, files=files) as writer, SpoolReader(tmp_path, files=files) as reader:
        kept(writer, b"before")
        for calls in (0, 1):  # the write, the sync
            files.fail_at, files.error = calls, number
            wanted = SpoolFull if number == errno.ENOSPC else SpoolError
            with pytest.raises(wanted, match="full" if number == errno.ENOSPC else "fault"):
                kept(writer, b"lost")
        kept(writer, b"after")
        assert taken(reader) == [b"before", b"after"]
    assert files.names(tmp_path / "damaged") == []


def test_a_frame_that_is_being_written_is_waited_for(
    tmp_path: Path, writer: SpoolWriter, reader: SpoolReader
) -> None:
    kept(writer, b"whole", b"in the making")
    writer.close()
    last = max(path for path in (tmp_path / "spool").iterdir() if path.suffix == ".spool")
    data = last.read_bytes()
    begun = HEAD_BYTES + len(b"whole")
    for cut in range(begun, len(data)):
        last.write_bytes(data[:cut])
        reader.again()
        assert taken(reader) == [b"whole"]
        last.write_bytes(data)
        assert taken(reader) == [b"in the making"]
    assert not (tmp_path / "spool" / "damaged").exists()


def test_a_new_segment_comes_after_the_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    with SpoolWriter(folder, reserve_bytes=0) as writer, SpoolReader(folder) as reader:
        kept(writer, b"one")
        reader.release(reader.read(1)[0].end)
    for path in folder.glob("*.spool"):
        path.unlink()  # as a disk may forget one whose name was not synced
    with SpoolWriter(folder, reserve_bytes=0) as writer, SpoolReader(folder) as reader:
        kept(writer, b"two")
        assert taken(reader) == [b"two"]


def test_old_segments_are_closed_so_that_they_can_go(tmp_path: Path, reader: SpoolReader) -> None:
    now = [0.0]
    folder = tmp_path / "spool"
    with SpoolWriter(folder, reserve_bytes=0, clock=lambda: now[0]) as writer:
        kept(writer, b"one")
        now[0] += 3_600
        kept(writer, b"two")
        kept(writer, b"three")
        frames = reader.read(2**30)
        reader.release(frames[1].end)
        assert taken(reader) == []
        assert len([path for path in folder.iterdir() if path.suffix == ".spool"]) == 1


def test_a_payload_is_rewritten_where_its_segment_is_closed(
    tmp_path: Path, reader: SpoolReader
) -> None:
    def without(payload: bytes) -> bytes:
        return b"" if payload.startswith(b"erase") else payload

    folder = tmp_path / "spool"
    with SpoolWriter(folder, reserve_bytes=0) as writer:
        kept(writer, b"keep 0", b"erase 0")
    with SpoolWriter(folder, reserve_bytes=0) as writer:
        kept(writer, b"keep 1", b"erase 1")
        first = reader.read(1)[0]
        assert reader.rewrite(without) == 1, "the last segment is still being written"
        content = b"".join(path.read_bytes() for path in folder.iterdir())
        assert b"erase 0" not in content
        assert b"erase 1" in content
    assert reader.rewrite(without) == 1, "now it is not"
    assert first.payload == b"keep 0"
    assert taken(reader) == [b"", b"keep 1", b""]
    assert b"erase" not in b"".join(path.read_bytes() for path in folder.iterdir())


def test_nothing_is_left_where_nobody_writes_any_more(tmp_path: Path, reader: SpoolReader) -> None:
    folder = tmp_path / "spool"
    for number in range(3):  # the numbers go on, whatever is gone
        with SpoolWriter(folder, reserve_bytes=0) as writer:
            kept(writer, b"one %d" % number, b"two %d" % number)
        (last,) = folder.glob("*.spool")
        with last.open("ab") as file:
            file.write(b"a torn end")
        frames = reader.read(2**30)
        assert [frame.payload for frame in frames] == [b"one %d" % number, b"two %d" % number]
        reader.again()  # they could not be stored
        frames = reader.read(2**30)
        assert len(frames) == 2
        reader.release(frames[-1].end)
        assert reader.read(2**30) == []
        assert list(folder.glob("*.spool")) == []
        assert reader.pending().bytes == 0


def test_what_is_broken_is_skipped_and_copied_aside(
    tmp_path: Path, writer: SpoolWriter, reader: SpoolReader, caplog: pytest.LogCaptureFixture
) -> None:
    kept(writer, *(b"%d" % number * 30 for number in range(9)))
    first = min(path for path in (tmp_path / "spool").iterdir() if path.suffix == ".spool")
    data = bytearray(first.read_bytes())
    data[60] ^= 1
    first.write_bytes(data)
    assert taken(reader) == [b"%d" % number * 30 for number in range(9) if number != 1]
    (copy,) = (tmp_path / "spool" / "damaged").iterdir()
    assert copy.read_bytes() == bytes(data[50:100])
    assert "50 bytes" in caplog.text


def test_a_damaged_checkpoint_means_from_the_beginning(
    tmp_path: Path, writer: SpoolWriter, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "spool"
    kept(writer, b"one", b"two")
    with SpoolReader(folder) as reader:
        reader.release(reader.read(1)[0].end)
    (folder / "checkpoint").write_bytes(b"{")
    with SpoolReader(folder) as reader:
        assert reader.released == START
        assert taken(reader) == [b"one", b"two"]
    assert "damaged" in caplog.text


def test_replacing_a_file_leaves_no_other(tmp_path: Path) -> None:
    files = RealFiles()
    files.replace(tmp_path / "a", b"1")
    (tmp_path / "a.new").write_bytes(b"left by a crash")
    files.replace(tmp_path / "a", b"2")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"2"}
