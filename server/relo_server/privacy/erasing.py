"""Forgetting devices: everywhere, for good, and with a proof.

The ledger of who was erased holds keys of devices and nothing else, in the platform store, apart
from the events: where those are restored from a backup, it is replayed before anybody sees them.
Whatever comes of an erased device later is dropped as it is stored (`relo_dsl.engine.staging`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from relo_dsl.engine import Engine
from relo_dsl.engine.erase import TOGETHER, delete_devices, delete_some, purge
from relo_dsl.engine.key import DEVICE_KEY_BYTES
from relo_dsl.times import UNITS, format_instant
from relo_server.ingest.payloads import decode, encode
from relo_server.platform.models import Erasure
from relo_server.platform.store import Platform
from relo_server.privacy.people import IN_LETTER, with_hashes
from relo_server.security.clients import ensure_client
from relo_server.security.tokens import new_id
from relo_server.spool.reader import DAMAGED
from relo_server.versions.barred import record_erasures
from relo_server.versions.publisher import Publisher
from relo_server.versions.withdrawal import withdraw

#: Where rows of a device are.
TABLES = ("events", "traits", "scores", "consent", "lists", "membership")
#: Copies of what was broken in a spool, for people to look at, stay as long as dead letters do.
_COPIES_DAYS = 90
_KEY_DIGITS = 2 * DEVICE_KEY_BYTES
_HEX = re.compile(rb"[0-9a-f]{%d,}" % _KEY_DIGITS)


@dataclass(frozen=True, slots=True)
class Proof:
    """What an erasure did. Times are epoch milliseconds; `rows` are those that went, by table."""

    id: str
    devices: int
    requested: int
    unpublished: int
    completed: int
    rows: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "devices": self.devices,
            "requested_at": format_instant(self.requested),
            "unpublished_at": format_instant(self.unpublished),
            "completed_at": format_instant(self.completed),
            "rows": dict(self.rows),
        }


def erase(
    publisher: Publisher, platform: Platform, client: int, devices: Sequence[bytes],
    spools: Callable[[Callable[[bytes], bytes]], int], folder: Path, hashes: Sequence[str] = (),
    *, requested: int | None = None,
) -> Proof:  # fmt: skip
    """Erases a client's devices, by their keys, and the refused records that name no device but
    have one of the `hashes` (`Person.hashes`).

    First the ledger has them, then nobody finds them in a set, then their rows go. `spools`
    rewrites what waits on disk, `folder` is where that is. After an error the same call goes on
    where it stopped; the ledger finishes what nobody asks for again (`finish`). `requested` is
    when it was asked for, where it had to wait since (epoch milliseconds).
    """
    clock, engine = publisher.clock, publisher.engine
    requested = clock() if requested is None else requested
    id_ = new_id(requested)
    with platform.tenant(client) as session:
        ensure_client(session, requested)
        there = set(session.scalars(select(Erasure.device)).all())
        for device in devices:
            if device not in there:
                session.add(Erasure(client_id=client, device=device, at=requested, request=id_))
    record_erasures(engine, client, devices, requested)
    withdraw(publisher, client)
    unpublished = clock()
    rows = _delete(engine, client, devices, hashes)
    rows["spool"] = spools(forgetting(client, {device.hex() for device in devices}, hashes))
    rows["damaged"] = drop_damaged(folder, {device.hex().encode() for device in devices})
    record_erasures(engine, client, devices, clock(), finished=True)
    return Proof(id_, len(devices), requested, unpublished, clock(), rows)


def _delete(
    engine: Engine, client: int, devices: Sequence[bytes], hashes: Sequence[str] = ()
) -> dict[str, int]:
    rows = delete_devices(engine, client, devices, TABLES)
    letters = 0
    for start in range(0, len(devices), TOGETHER):
        keys = [device.hex() for device in devices[start : start + TOGETHER]]
        named = "client_id = {c:UInt32} AND multiSearchAny(record, {k:Array(String)})"
        letters += delete_some(engine, "dead_letters", named, {"c": client, "k": keys})
    for own in with_hashes(client, hashes):
        held = f"client_id = {{c:UInt32}} AND {IN_LETTER}"
        letters += delete_some(engine, "dead_letters", held, own)
    purge(engine, {"dead_letters": letters})
    return {**rows, "dead_letters": letters}


def forgetting(
    client: int, keys: Collection[str], hashes: Collection[str] = ()
) -> Callable[[bytes], bytes]:
    """What is left of a payload of the spool without the records of some devices, and without the
    refused ones that name no device but have one of the hashes.
    """
    wanted = [key.encode() for key in keys]
    held = [one.lower().encode() for one in hashes]

    def is_gone(refused: dict[str, Any]) -> bool:
        device = (refused.get("record") or {}).get("did")
        if isinstance(device, str):
            return device in keys
        return _has(encode(refused), held)

    def without(payload: bytes) -> bytes:
        if not any(key in payload for key in wanted) and not _has(payload, held):
            return payload
        head, _, rest = payload.partition(b"\n")
        envelope = decode(head)
        if envelope["client"] != client:
            return payload
        refused = [one for one in envelope.get("refused", ()) if not is_gone(one)]
        lines = [line for line in rest.split(b"\n") if line and decode(line)["did"] not in keys]
        kept = encode({**envelope, "refused": refused} if refused else _bare(envelope))
        return b"\n".join([kept, *lines, b""])

    return without


def _has(data: bytes, hashes: Collection[bytes]) -> bool:
    """Whether one of some hashes stands there; senders write them in capitals, too."""
    lower = data.lower() if hashes else b""
    return any(one in lower for one in hashes)


def _bare(envelope: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in envelope.items() if name != "refused"}


def drop_damaged(folder: Path, keys: Collection[bytes]) -> int:
    """Copies of broken pieces that name one of the devices go whole: nobody can cut them."""
    count = 0
    for path in folder.glob(f"*/{DAMAGED}/*"):
        with suppress(FileNotFoundError):  # somebody else has dropped it
            if any(key in keys for key in _keys_in(path.read_bytes())):
                path.unlink()
                count += 1
    return count


def _keys_in(data: bytes) -> Iterator[bytes]:
    """Whatever may be the key of a device: there may be many devices to compare it with."""
    for run in _HEX.findall(data):
        for start in range(len(run) - _KEY_DIGITS + 1):
            yield run[start : start + _KEY_DIGITS]


def drop_old_damaged(folder: Path, now: int) -> int:
    """Copies of broken pieces go that are old by now (epoch milliseconds); how many."""
    count, before = 0, now - _COPIES_DAYS * UNITS["d"]
    for path in folder.glob(f"*/{DAMAGED}/*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime_ns < before * 1_000_000:
                path.unlink()
                count += 1
    return count


def finish(platform: Platform, publisher: Publisher, clients: Collection[int]) -> int:
    """Erases again whoever the ledger has and of whom the events do not know that they were erased
    to the end: after a restore, or where an erasure was interrupted. How many devices that were.
    """
    count = 0
    for client in clients:
        with platform.tenant(client, reading=True) as session:
            ledger = set(session.scalars(select(Erasure.device)).all())
        if not ledger:
            continue
        known = publisher.engine.rows(
            "SELECT DISTINCT lower(hex(device)) FROM erasures WHERE client_id = {c:UInt32} "
            "AND finished = 1",
            {"c": client},
        )
        missing = sorted(ledger - {bytes.fromhex(str(row[0])) for row in known})
        if missing:
            record_erasures(publisher.engine, client, missing, publisher.clock())
            withdraw(publisher, client)
            _delete(publisher.engine, client, missing)
            record_erasures(publisher.engine, client, missing, publisher.clock(), finished=True)
            count += len(missing)
    return count


def rewrite_again(
    engine: Engine, since: int, spools: Callable[[Callable[[bytes], bytes]], int], folder: Path
) -> int:
    """Forgets once more what came of erased devices too late for their erasure. How much that was:
    payloads, copies and rows.

    - Segments that were still being written have been closed meanwhile: they are rewritten without
      the devices that were erased since then (epoch milliseconds).
    - A broken piece is copied aside when it is read, which may be any time later.
    - A build of another process, whose version was then overtaken, may have stored who would have
      belonged to it.
    """
    late: dict[int, set[str]] = {}
    for client, key in engine.rows(
        "SELECT client_id, lower(hex(device)) FROM erasures "
        "WHERE at >= fromUnixTimestamp64Milli({s:Int64}, 'UTC')",
        {"s": since},
    ):
        late.setdefault(int(client), set()).add(str(key))
    count = sum(spools(forgetting(client, keys)) for client, keys in late.items())
    if any(folder.glob(f"*/{DAMAGED}/*")):
        rows = engine.rows("SELECT DISTINCT lower(hex(device)) FROM erasures")
        count += drop_damaged(folder, {str(row[0]).encode() for row in rows})
    if late:
        count += _delete_again(engine, since)
    return count


def _delete_again(engine: Engine, since: int) -> int:
    """Deletes what is there of devices that were erased since then; how many rows."""
    erased = (
        "(client_id, device) IN (SELECT client_id, device FROM erasures "
        "WHERE at >= fromUnixTimestamp64Milli({s:Int64}, 'UTC'))"
    )
    found: dict[int, list[bytes]] = {}
    for table in TABLES:
        rows = engine.rows(
            f"SELECT DISTINCT client_id, lower(hex(device)) FROM {table} WHERE {erased}",  # noqa: S608 - our tables
            {"s": since},
        )
        for client, key in rows:
            found.setdefault(int(client), []).append(bytes.fromhex(str(key)))
    return sum(sum(_delete(engine, *one).values()) for one in found.items())


def clients_of(engine: Engine) -> set[int]:
    """Every client of whom something is stored."""
    found: set[int] = set()
    for table in TABLES:
        rows = engine.rows(f"SELECT DISTINCT client_id FROM {table}")  # noqa: S608 - our tables
        found |= {int(row[0]) for row in rows}
    return found
