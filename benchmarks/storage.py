"""`storage`: bytes on disk per event, beside the same events as JSON lines.

Both data sets go through the production path: the demo's real baskets, coupons and campaigns, and
generated events (benchmarks/data.py). JSON lines are those that `relo load` would read; the
generated ones name devices and events by UUIDs, as apps and shops do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from benchmarks.data import make_store
from relo_dsl.catalog import load_catalog
from relo_dsl.engine import Engine, load_records
from relo_dsl.records import Record
from relo_server.demo.data import data_folder
from relo_server.demo.project import shipped_definitions
from relo_server.demo.shift import Shift
from relo_server.demo.store import all_records
from relo_server.loading import exact_json

CORE = ("client_id", "event_type", "device", "time", "flags")
IDS = ("tie",)
#: Whether the flags came with the event, and how long it is kept.
KEEPING = ("carried", "retain_months")
CLIENT = 3

#: A property of a generated event as JSON, empty where the event lacks it.
_FIELDS = ", ".join(
    f"if({column} IS NULL, '', concat('\"{column[2:]}\":', {value}))"
    for column, value in (
        ("s_product_id", "toJSONString(s_product_id)"),
        ("n_price", "toString(n_price)"),
        ("n_revenue", "toString(n_revenue)"),
        ("s_product_line", "toJSONString(s_product_line)"),
        ("n_quantity", "toString(n_quantity)"),
        ("s_coupon", "toJSONString(s_coupon)"),
        ("s_page", "toJSONString(s_page)"),
        ("n_seconds", "toString(n_seconds)"),
    )
)
#: A generated event as the line that would have brought it; ids stand for those that were hashed.
GENERATED_LINE = f"""concat(
    '{{"t":"', event_type, '","ts":', toString(toUnixTimestamp64Milli(time)),
    ',"cid":', toString(client_id), ',"did":"', toString(reinterpretAsUUID(device)),
    '","eid":"', toString(toUUID(reinterpretAsUUID(sipHash128(tie)))), '","props":{{',
    arrayStringConcat(arrayFilter(f -> f != '', [{_FIELDS}]), ','), '}}}}\n')"""


def run(
    folder: Path, *, events: int = 2_000_000, devices: int = 100_000, data: Path | None = None
) -> dict[str, object]:
    """Bytes an event of both data sets, and how many times smaller than JSON lines they are.

    `data` is a folder with other files of the demo's shape.
    """
    demo = demo_figures(folder / "storage-demo", data)
    engine = make_store(folder / f"storage-{events}-{devices}", events, devices, plain=True)
    try:
        raw = engine.rows(f"SELECT sum(length({GENERATED_LINE})) FROM events")[0][0]
        generated = figures(engine, int(raw))
    finally:
        engine.close()
    return {
        "benchmark": "storage",
        "demo": demo,
        "generated": {"devices": devices, **generated},
        "ratios": {"demo": demo["over_json_lines"], "generated": generated["over_json_lines"]},
    }


def demo_figures(folder: Path, data: Path | None = None) -> dict[str, object]:
    """The figures of the demo's data, or of other files of the same shape."""
    data, shift = data or data_folder(), Shift.ending_in_week_of(int(time.time() * 1000))
    # What the lines came to, written when all are stored: a later run need not load again.
    measured = folder / "json_lines_bytes"
    engine = Engine.embedded(folder)
    try:
        engine.migrate()
        if not measured.exists():
            sizes: list[int] = []
            records = _measured(all_records(data, shift, CLIENT), sizes)
            catalog = load_catalog(shipped_definitions() / "catalog.yaml")
            load_records(engine, records, catalog=catalog, key=bytes(32))
            engine.command("OPTIMIZE TABLE events FINAL")
            measured.write_text(str(sum(sizes)), encoding="utf-8")
        return figures(engine, int(measured.read_text(encoding="utf-8")))
    finally:
        engine.close()


def _measured(records: Iterator[Record], sizes: list[int]) -> Iterator[Record]:
    """The same records; how long the line of each event is goes into `sizes`."""
    for record in records:
        if record.kind == "event":
            sizes.append(len(line_of(record).encode()))
        yield record


def line_of(record: Record) -> str:
    """An event as the JSON line that would have brought it."""
    return (
        exact_json(
            {
                "t": record.type,
                "ts": record.time,
                "cid": record.client,
                "did": record.device,
                "eid": record.id,
                "props": {name: _value(value) for name, value in record.values.items()},
            }
        )
        + "\n"
    )


def _value(value: object) -> object:
    """Numbers as people write them: `5`, not `5.00`."""
    if isinstance(value, Decimal):
        return json.loads(str(value)) if value == value.to_integral() else value.normalize()
    return value


def figures(engine: Engine, raw: int) -> dict[str, object]:
    """Bytes an event on disk, all told and column by column; `raw` is the size of the lines."""
    count, total = engine.rows(
        "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts "
        "WHERE database = currentDatabase() AND table = 'events' AND active"
    )[0]
    found = engine.rows(
        "SELECT column, sum(column_bytes_on_disk) FROM system.parts_columns "
        "WHERE database = currentDatabase() AND table = 'events' AND active "
        "GROUP BY column ORDER BY column"
    )
    columns = {str(name): int(size) / count for name, size in found}
    known = {*CORE, *IDS, *KEEPING}
    parts = {
        "core": sum(columns[name] for name in CORE),
        "event_ids": sum(columns[name] for name in IDS),
        "keeping": sum(columns[name] for name in KEEPING),
        "properties": sum(size for name, size in columns.items() if name not in known),
    }
    return {
        "events": int(count),
        "bytes_per_event": {name: round(size, 2) for name, size in parts.items()}
        | {"all": round(total / count, 2), "json_lines": round(raw / count, 2)},
        "over_json_lines": round(total / raw, 4),
        "times_smaller": round(raw / total, 2),
        "columns": {name: round(size, 2) for name, size in columns.items() if size >= 0.005},
    }
