"""What became of what each source sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relo_dsl.engine import Engine
from relo_dsl.times import UNITS, format_instant

#: How many reasons of refusals are told of a source.
_REASONS = 5


@dataclass(frozen=True, slots=True)
class Counts:
    """Records of a source: stored, known already, refused. `received` is when the last came in."""

    client: int
    source: str
    received: int
    accepted: int
    duplicate: int
    refused: int


def record_counts(engine: Engine, counts: Sequence[Counts]) -> None:
    """Notes what became of some records."""
    import pyarrow as pa

    columns = {
        "client_id": pa.array([one.client for one in counts], pa.uint32()),
        "source": pa.array([one.source for one in counts]),
        "received": pa.array([one.received for one in counts], pa.timestamp("ms", "UTC")),
        "accepted": pa.array([one.accepted for one in counts], pa.uint64()),
        "duplicate": pa.array([one.duplicate for one in counts], pa.uint64()),
        "refused": pa.array([one.refused for one in counts], pa.uint64()),
    }
    engine.insert_arrow("ingested", pa.table(columns), one_part=True)


def sources(engine: Engine, client: int, now: int) -> list[dict[str, Any]]:
    """Each source of a client: when it was last heard of, and its last 24 hours."""
    since = {"c": client, "s": now - UNITS["d"]}
    rows = engine.rows(
        "SELECT source, toUnixTimestamp64Milli(max(received)), "
        "sumIf(accepted, recent), sumIf(duplicate, recent), sumIf(refused, recent) FROM ("
        "SELECT *, received >= fromUnixTimestamp64Milli({s:Int64}, 'UTC') AS recent "
        "FROM ingested WHERE client_id = {c:UInt32}) GROUP BY source ORDER BY source",
        since,
    )
    reasons = engine.rows(
        "SELECT source, field, reason, count() AS n FROM dead_letters "
        "WHERE client_id = {c:UInt32} AND received >= fromUnixTimestamp64Milli({s:Int64}, 'UTC') "
        "GROUP BY source, field, reason ORDER BY source, n DESC, field, reason "
        "LIMIT {n:UInt8} BY source",
        {**since, "n": _REASONS},
    )
    return [
        {
            "source": str(name),
            "last_received": format_instant(int(last)),
            "accepted": int(accepted),
            "duplicate": int(duplicate),
            "refused": int(refused),
            "reasons": [
                {"field": str(field) or None, "reason": str(reason), "count": int(count)}
                for source, field, reason, count in reasons
                if source == name
            ],
        }
        for name, last, accepted, duplicate, refused in rows
    ]
