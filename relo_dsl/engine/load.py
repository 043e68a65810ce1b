"""Loading: records and lists into the engine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from relo_dsl.catalog import Catalog
from relo_dsl.engine.erase import delete_devices
from relo_dsl.engine.key import DEVICE_KEY_BYTES, device_key
from relo_dsl.engine.staging import ClientRules, Staging
from relo_dsl.records import Record, RecordError, check_types, tie_of
from relo_dsl.shapes import ShapedEvent, Shapes

if TYPE_CHECKING:
    from relo_dsl.engine.client import Engine

BATCH_ROWS = 100_000
#: Rows in memory before they are stored; every commit looks for its ids among all stored ones.
COMMIT_ROWS = 1_000_000
_CACHED_DEVICES = 1_000_000
#: The row of a list that says that the list is there, even if nobody is on it.
LIST_MARK = bytes(DEVICE_KEY_BYTES)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of the records: counts, the accepted ones by kind too, and the time it took."""

    accepted: int
    duplicate: int
    refused: int
    kinds: Mapping[str, int]
    seconds: float
    erased: int = 0
    """Records of devices that were erased, which are dropped."""


def load_records(
    engine: Engine,
    records: Iterable[Record | list[ShapedEvent]],
    *,
    catalog: Catalog,
    key: bytes,
    shapes: Shapes | None = None,
    rules: Mapping[int, ClientRules] | None = None,
    refused: Callable[[Record, RecordError], None] | None = None,
    device_of: Callable[[int, str], bytes] | None = None,
    now: int | None = None,
) -> LoadReport:
    """Stores records, in the order given: of two with one (client, id) the first counts.

    Types are checked here; `refused` is called for each record that does not pass, before the next
    one is taken from `records`. `rules` hold for the clients that they name, the catalog's for
    others. `device_of` gives the 16 bytes that stand for a client's device, instead of the key;
    `now` is given where consent was dated by receipt (see Staging). Events that were read in
    `shapes`, which are the catalog's, need no check and come in lists; each has its `cid`.
    Everything counted as accepted is on the disk when this returns.
    """
    started = time.perf_counter()
    device_of = device_of or _Devices(key).key
    totals: Counter[str] = Counter()
    bad = 0
    with Staging(engine, catalog, rules, now) as staging:
        pending = _Pending(staging, catalog, totals, shapes)
        seq = 0
        for record in records:
            if isinstance(record, list):
                pending.add_shaped(record, device_of, seq)
                seq += len(record)
                continue
            seq += 1
            try:
                typed = check_types(record, catalog)
            except RecordError as error:
                bad += 1
                if refused:
                    refused(record, error)
                continue
            pending.add(typed, device_of(record.client, record.device), seq - 1)
        pending.flush()
    duplicate, erased = totals.pop("duplicate", 0), totals.pop("erased", 0)
    return LoadReport(
        sum(totals.values()), duplicate, bad, dict(totals), time.perf_counter() - started, erased
    )


class _Devices:
    """Device keys, the recent ones remembered: most records are of a device just seen."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[tuple[int, str], bytes] = {}

    def key(self, client: int, device: str) -> bytes:
        found = self._known.get((client, device))
        if found is None:
            if len(self._known) >= _CACHED_DEVICES:
                self._known.clear()
            found = self._known[client, device] = device_key(self._key, client, device)
        return found


class _Pending:
    """Rows on their way: first a batch in Python, then staged, then committed."""

    def __init__(
        self, staging: Staging, catalog: Catalog, totals: Counter[str], shapes: Shapes | None
    ) -> None:
        from relo_dsl.engine.batch import Batch

        self._staging = staging
        self._new_batch = partial(Batch, catalog, shapes)
        self._batch = self._new_batch()
        self._staged = 0
        self._totals = totals

    def add(self, record: Record, device: bytes, seq: int) -> None:
        self._batch.add(record, device, tie_of(record.id), seq)
        self._stage_if_large()

    def add_shaped(
        self, events: Sequence[ShapedEvent], device_of: Callable[[int, str], bytes], seq: int
    ) -> None:
        self._batch.add_shaped(events, device_of, seq)
        self._stage_if_large()

    def _stage_if_large(self) -> None:
        if self._batch.size >= BATCH_ROWS:
            self._stage()
            if self._staged >= COMMIT_ROWS:
                self._commit()

    def _stage(self) -> None:
        self._staging.add(self._batch)
        self._staged += self._batch.size
        self._batch = self._new_batch()

    def _commit(self) -> None:
        done = self._staging.commit()
        self._totals.update(done.accepted)
        self._totals["duplicate"] += done.duplicate
        self._totals["erased"] += done.erased
        self._staged = 0

    def flush(self) -> None:
        if self._batch.size:
            self._stage()
        if self._staged:
            self._commit()


def load_list(engine: Engine, client: int, name: str, devices: Iterable[str], *, key: bytes) -> int:
    """Stores a list of device ids in place of the one of that name; returns how many there are.
    Devices that were erased are left out.

    The new list appears at once and whole: it is one insert under a new version, and the version
    with the highest number is the list. The version before it stays, for queries that have just
    started, until the next upload.
    """
    import pyarrow as pa

    own: dict[str, object] = {"c": client, "n": name}
    named = {device_key(key, client, device) for device in devices}
    keys = sorted(named - _erased(engine, "client_id = {c:UInt32}", own))
    last = engine.rows(
        "SELECT max(version) FROM lists WHERE client_id = {c:UInt32} AND name = {n:String}", own
    )[0][0]
    version = max(int(time.time() * 1000), int(last or 0) + 1)
    count = len(keys) + 1
    table = pa.table(
        {
            "client_id": pa.array([client] * count, pa.uint32()),
            "name": pa.array([name] * count, pa.string()),
            "version": pa.array([version] * count, pa.uint64()),
            "device": pa.array([LIST_MARK, *keys], pa.binary(DEVICE_KEY_BYTES)),
        }
    )
    engine.insert_arrow("lists", table, one_part=True)
    # An erasure that came just now may have looked before they were there.
    on_list = "client_id = {c:UInt32} AND name = {n:String} AND version = {v:UInt64}"
    late = _erased(
        engine,
        f"client_id = {{c:UInt32}} AND device IN (SELECT device FROM lists WHERE {on_list})",  # noqa: S608 - texts of ours
        {**own, "v": version},
    )
    delete_devices(engine, client, sorted(late), ("lists",))
    if last:
        engine.delete(
            "lists",
            "client_id = {c:UInt32} AND name = {n:String} AND version < {v:UInt64}",
            {**own, "v": last},
        )
    return len(keys) - len(late)


def _erased(engine: Engine, where: str, own: Mapping[str, object]) -> set[bytes]:
    """The keys of devices that were erased, of those for which `where` holds."""
    rows = engine.rows(f"SELECT DISTINCT device FROM erasures WHERE {where}", own)  # noqa: S608 - texts of ours
    return {bytes(row[0]) for row in rows}
