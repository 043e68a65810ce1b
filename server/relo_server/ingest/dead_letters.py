"""Records that were refused for what they say: kept, listed, corrected and sent again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relo_dsl.engine import Engine
from relo_dsl.engine.key import DEVICE_IN_K
from relo_dsl.times import format_instant
from relo_server.ingest.payloads import Envelope, Refusal, decode, encode

#: Ids in one statement: some drivers send them in a URL.
_TOGETHER = 100
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused record. `received` is epoch milliseconds; `record` None where it was no JSON."""

    client: int
    id: str
    received: int
    source: str
    position: int
    reason: str
    field: str
    value: str
    record: dict[str, Any] | None

    @property
    def device(self) -> str:
        """The key of its device, in hex; empty where it names none."""
        device = (self.record or {}).get("did")
        return device if isinstance(device, str) and _KEY.fullmatch(device) else ""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "received": format_instant(self.received),
            "source": self.source,
            "reason": self.reason,
            "field": self.field or None,
            "value": self.value,
            "record": self.record,
        }


def letter_of(envelope: Envelope, refusal: Refusal) -> DeadLetter:
    """The letter for a refusal; the same one each time it is made."""
    record = b"" if refusal.record is None else encode(refusal.record)
    about = encode([envelope.source, refusal.index, refusal.reason, refusal.value]) + record
    digest = hashlib.sha256(about).hexdigest()[:14]
    id_ = f"{envelope.received:012x}{refusal.index:06x}{digest}"
    return DeadLetter(
        envelope.client, id_, envelope.received, envelope.source,
        refusal.index, refusal.reason, refusal.field or "", refusal.value, refusal.record,
    )  # fmt: skip


def bury(engine: Engine, letters: Sequence[DeadLetter]) -> int:
    """Stores letters, each once however often; on disk when it returns. How many are new.

    Those of devices that were erased are not kept.
    """
    import pyarrow as pa

    gone = _erased(engine, letters)
    new = {
        (one.client, one.id): one for one in letters if one.device not in gone.get(one.client, ())
    }
    ids = sorted({id_ for _, id_ in new})
    for start in range(0, len(ids), _TOGETHER):
        there = engine.rows(
            "SELECT client_id, id FROM dead_letters WHERE id IN {ids:Array(String)}",
            {"ids": ids[start : start + _TOGETHER]},
        )
        for client, id_ in there:
            new.pop((int(client), str(id_)), None)
    if not new:
        return 0
    rows = list(new.values())
    texts = [encode(one.record).decode() if one.record is not None else "" for one in rows]
    columns = {
        "client_id": pa.array([one.client for one in rows], pa.uint32()),
        "id": pa.array([one.id for one in rows]),
        "received": pa.array([one.received for one in rows], pa.timestamp("ms", "UTC")),
        "source": pa.array([one.source for one in rows]),
        "position": pa.array([one.position for one in rows], pa.uint32()),
        "reason": pa.array([one.reason for one in rows]),
        "field": pa.array([one.field for one in rows]),
        "value": pa.array([one.value for one in rows]),
        "record": pa.array(texts),
    }
    engine.insert_arrow("dead_letters", pa.table(columns), one_part=True)
    # An erasure that came just now may have looked before they were there.
    for client, keys in _erased(engine, rows).items():
        late = [one.id for one in rows if one.client == client and one.device in keys]
        forget(engine, client, late)
        engine.purge("dead_letters")
    return len(new)


def _erased(engine: Engine, letters: Sequence[DeadLetter]) -> dict[int, set[str]]:
    """The devices of letters that were erased: their keys, by client."""
    found: dict[int, set[str]] = {}
    for client in {one.client for one in letters}:
        keys = sorted({one.device for one in letters if one.client == client and one.device})
        for start in range(0, len(keys), _TOGETHER):
            rows = engine.rows(
                "SELECT lower(hex(device)) FROM erasures "  # noqa: S608 - texts of ours
                f"WHERE client_id = {{c:UInt32}} AND {DEVICE_IN_K}",
                {"c": client, "k": keys[start : start + _TOGETHER]},
            )
            found.setdefault(client, set()).update(str(row[0]) for row in rows)
    return {client: keys for client, keys in found.items() if keys}


def letters(
    engine: Engine, client: int, *, ids: Sequence[str] | None = None, after: str = "",
    limit: int = 100, reason: str = "",
) -> list[DeadLetter]:  # fmt: skip
    """A client's letters, the oldest first; those with `ids`, or those after an id."""
    where = (
        "client_id = {c:UInt32} AND id > {a:String} AND JSONExtractString(record, 'did') NOT IN "
        "(SELECT lower(hex(device)) FROM erasures WHERE client_id = {c:UInt32})"
    )
    if ids is not None:
        where += " AND id IN {ids:Array(String)}"
    if reason:
        where += " AND positionCaseInsensitive(concat(field, ': ', reason), {w:String}) > 0"
    rows = engine.rows(
        "SELECT id, toUnixTimestamp64Milli(received), source, position, reason, field, value, "  # noqa: S608 - texts of ours
        f"record FROM dead_letters WHERE {where} ORDER BY id LIMIT {{n:UInt64}}",
        {"c": client, "a": after, "ids": list(ids or ()), "w": reason, "n": limit},
    )
    return [
        DeadLetter(
            client, str(id_), int(received), str(source), int(position), str(why), str(field),
            str(value), decode(record) if record else None,
        )
        for id_, received, source, position, why, field, value, record in rows
    ]  # fmt: skip


def forget(engine: Engine, client: int, ids: Sequence[str]) -> None:
    """Letters that were answered go."""
    for start in range(0, len(ids), _TOGETHER):
        engine.delete(
            "dead_letters",
            "client_id = {c:UInt32} AND id IN {ids:Array(String)}",
            {"c": client, "ids": list(ids[start : start + _TOGETHER])},
        )
