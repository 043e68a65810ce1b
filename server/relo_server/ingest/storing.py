"""Moves what is spooled into the engine, in large blocks, each record once."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from relo_dsl.catalog import Catalog
from relo_dsl.engine import Engine, EngineError, load_records
from relo_dsl.engine.arrow import to_arrow
from relo_dsl.errors import UserError
from relo_dsl.records import Record, RecordError
from relo_dsl.shapes import ShapedEvent, Shapes
from relo_server.ingest.clearing import parse_any
from relo_server.ingest.counts import Counts, record_counts
from relo_server.ingest.dead_letters import DeadLetter, bury, letter_of
from relo_server.ingest.payloads import Envelope, Refusal, decode, unpack
from relo_server.ingest.shaping import ShapesOf
from relo_server.sets import Sets
from relo_server.spool import Frame, SpoolReader
from relo_server.spool.overflow import Storage
from relo_server.tracing import span
from relo_server.versions.publisher import Publisher
from relo_server.versions.withdrawal import withdraw

#: Bytes of records that are moved at a time.
BLOCK_BYTES = 16 * 2**20
#: Spools of consent alone, whose folders are called so, do not wait for those of events.
CONSENT = "consent-"
#: How long it waits for more where nobody wakes it: another process may have spooled something.
_LOOK_SECONDS = 0.05
#: After a failure, twice as long each time up to the longest.
_AGAIN_SECONDS, _LONGEST_SECONDS = 0.25, 10.0
_BY = "ingest"
_log = logging.getLogger("relo.ingest")


@dataclass(slots=True)
class _Source:
    """What became of the records of one source in a block."""

    received: int = 0
    sent: int = 0
    duplicate: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Block:
    """The records of some frames, on their way."""

    shapes: Shapes
    sources: dict[tuple[int, str], _Source] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    withdrawing: set[int] = field(default_factory=set)
    _taken: tuple[Envelope, int, bytes] | None = None
    _changes: Counter[str] = field(default_factory=Counter)

    def records(self, frames: Sequence[Frame]) -> Iterator[Record | list[ShapedEvent]]:
        for frame in frames:
            envelope, lines = unpack(frame.payload)
            source = self.sources.setdefault((envelope.client, envelope.source), _Source())
            source.received = max(source.received, envelope.received)
            source.duplicate += envelope.duplicate
            source.refused += len(envelope.refused)
            self.letters += [letter_of(envelope, refusal) for refusal in envelope.refused]
            source.sent += len(lines)
            self._changes.clear()
            run: list[ShapedEvent] = []
            for index, line in enumerate(lines):
                event = self.shapes.read(line)
                if event is not None:
                    event.cid = envelope.client
                    run.append(event)
                    continue
                if run:  # in order: of two with one id the first counts
                    yield run
                    run = []
                self._taken = envelope, index, line
                try:
                    yield from self._records(envelope, line)
                except RecordError as error:
                    self.refuse(None, error)
            if run:
                yield run

    def _records(self, envelope: Envelope, line: bytes) -> Iterator[Record]:
        raw = decode(line)
        record = parse_any(raw, envelope.client)
        if record.kind != "consent":
            yield record
            return
        self.withdrawing.add(record.client)
        # A phone whose clock is slow must not have its withdrawal stand before what was granted.
        time = envelope.received
        if record.consent is None:  # of changes that come together, each follows the one before
            time += self._changes[record.device]
            self._changes[record.device] += 1
        record = replace(record, time=time)
        yield record
        # Without an id, one that says the same as one before is a copy, or it is said once more.
        # What it takes is taken in both cases; what it gives was perhaps withdrawn in between.
        taken = record.cleared if record.consent is None else 255 & ~record.consent
        if "eid" not in raw and taken:
            again = f"{record.id}/{envelope.received}"
            yield replace(record, id=again, consent=None, cleared=taken, granted=0)

    def refuse(self, _record: Record | None, error: RecordError) -> None:
        """The record that was taken last is not stored: the catalog has changed meanwhile."""
        assert self._taken is not None
        envelope, index, line = self._taken
        source = self.sources[envelope.client, envelope.source]
        source.sent, source.refused = source.sent - 1, source.refused + 1
        refusal = Refusal(index, error.reason, error.field, error.value, decode(line))
        self.letters.append(letter_of(envelope, refusal))


class Storing:
    """A thread that empties the spools in a folder. `catalog` gives the one that holds now.

    It may be stopped at any point: what is not released is moved once more, and nothing is stored
    twice, because the engine knows each id.
    """

    def __init__(
        self, folder: Path, engine: Engine, sets: Sets, catalog: Callable[[], Catalog],
        clock: Callable[[], int], storage: Storage | None = None,
    ) -> None:  # fmt: skip
        """`engine` is a connection of its own; `storage` is where spools put what the disk has no
        room for. Call `start`.
        """
        self._folder = folder
        self._engine = engine
        self._sets = sets
        self._catalog = catalog
        self._clock = clock
        self._storage = storage
        self._shapes = ShapesOf()
        self._readers: dict[Path, SpoolReader] = {}
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="storing", daemon=True)
        self.trouble: str | None = None
        """Why it can not go on at the moment."""
        self.stored = 0
        """Records stored so far by this process."""

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something was spooled."""
        self._woken.set()

    def _run(self) -> None:
        # The first array of a process brings other packages in, which takes seconds.
        to_arrow([None], "String")
        wait = _AGAIN_SECONDS
        while not self._ending.is_set():
            try:
                moved = self.step()
            except Exception as error:
                known = isinstance(error, UserError | EngineError | OSError)
                _log.log(
                    logging.WARNING if known else logging.ERROR,
                    "what was taken in cannot be stored now, and waits: %s", error,
                    exc_info=None if known else error,
                )  # fmt: skip
                self.trouble = str(error).partition("\n")[0]
                self._ending.wait(wait)
                wait = min(wait * 2, _LONGEST_SECONDS)
                continue
            self.trouble, wait = None, _AGAIN_SECONDS
            if not moved:
                self._woken.wait(_LOOK_SECONDS)
                self._woken.clear()

    def step(self) -> int:
        """Moves a block of each spool; how many records these had. Raises as engine, sets and disk
        do: then nothing is lost, and it can be called again.
        """
        self._open_readers()
        moved, failed = 0, None
        for reader in self._turns():
            try:
                moved += self._step(reader)
            except Exception as error:  # the others have withdrawals, too
                failed = error
        if failed is not None:
            raise failed
        return moved

    def _turns(self) -> Iterator[SpoolReader]:
        """The readers, those of consent before each of the others: a withdrawal that came in while
        a block was moved comes next, whatever waits.
        """
        told = {path for path in self._readers if path.name.startswith(CONSENT)}
        consent = [self._readers[path] for path in sorted(told)]
        for path in sorted(self._readers.keys() - told):
            yield from consent
            yield self._readers[path]
        yield from consent

    def _step(self, reader: SpoolReader) -> int:
        frames = reader.read(BLOCK_BYTES)
        if not frames:
            return 0
        try:
            moved = self._move(frames)
            reader.release(frames[-1].end)
        except BaseException:
            reader.again()
            raise
        return moved

    def _open_readers(self) -> None:
        """Spools that another process has left are emptied as well."""
        for path in self._folder.iterdir():
            if path not in self._readers and path.is_dir():
                try:
                    self._readers[path] = SpoolReader(path, storage=self._storage)
                except UserError:  # another process empties it
                    continue

    def _move(self, frames: Sequence[Frame]) -> int:
        catalog = self._catalog()
        shapes = self._shapes(catalog)
        block = _Block(shapes)
        with span("store", frames=len(frames)):
            report = load_records(
                self._engine, block.records(frames), catalog=catalog, key=b"", shapes=shapes,
                refused=block.refuse, device_of=lambda _, key: bytes.fromhex(key),
                now=self._clock(),
            )  # fmt: skip
            if block.letters:
                bury(self._engine, block.letters)
            for client in sorted(block.withdrawing):
                publisher = Publisher(self._engine, self._sets, catalog.flags_of, _BY, self._clock)
                withdraw(publisher, client)
            self._count(block, report.duplicate, report.erased)
        self.stored += report.accepted
        return sum(source.sent for source in block.sources.values()) + len(block.letters)

    def _count(self, block: _Block, duplicate: int, erased: int) -> None:
        """Tells what became of each source's records. Copies that only the engine knew, and records
        of devices that were erased, are of whichever sources sent the block.
        """
        left = Counter({key: one.sent for key, one in block.sources.items()})
        for key, one in block.sources.items():
            copies = min(duplicate, left[key])
            duplicate -= copies
            one.duplicate += copies
            left[key] -= copies
            dropped = min(erased, left[key])
            erased -= dropped
            left[key] -= dropped
        record_counts(
            self._engine,
            [
                Counts(client, name, one.received, left[client, name], one.duplicate, one.refused)
                for (client, name), one in block.sources.items()
            ],
        )

    def rewrite(self, change: Callable[[bytes], bytes]) -> int:
        """Puts other payloads in place of those that wait on disk; how many changed.

        What is being written just now is not among them: `SpoolWriter.roll` first.
        """
        self._open_readers()
        return sum(reader.rewrite(change) for reader in tuple(self._readers.values()))

    def waiting(self) -> int:
        """Bytes that are spooled and not stored."""
        return sum(reader.pending().bytes for reader in tuple(self._readers.values()))

    def close(self) -> None:
        """Ends after the block that it moves; what waits is moved by the next process."""
        self._ending.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()
        for reader in self._readers.values():
            reader.close()
