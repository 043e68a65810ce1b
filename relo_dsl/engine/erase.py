"""The rows of devices go: for good, from whatever tables have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from relo_dsl.engine.key import DEVICE_IN_K

if TYPE_CHECKING:
    from relo_dsl.engine.client import Engine

#: Devices in one statement: some drivers send them in a URL.
TOGETHER = 100


def delete_devices(
    engine: Engine, client: int, devices: Sequence[bytes], tables: Iterable[str]
) -> dict[str, int]:
    """Deletes the rows of a client's devices, by their 16-byte keys; how many each table had.

    When it returns they are in no part any more. Raises EngineError; then call it again.
    """
    rows = dict.fromkeys(tables, 0)
    condition = f"client_id = {{c:UInt32}} AND {DEVICE_IN_K}"
    for start in range(0, len(devices), TOGETHER):
        params = {"c": client, "k": [device.hex() for device in devices[start : start + TOGETHER]]}
        for table in rows:
            rows[table] += delete_some(engine, table, condition, params)
    purge(engine, rows)
    return rows


def delete_some(engine: Engine, table: str, condition: str, params: dict[str, object]) -> int:
    """Deletes what there is of a condition; how many rows. `purge` afterwards."""
    found = engine.rows(f"SELECT count() FROM {table} WHERE {condition}", params)  # noqa: S608 - texts of ours
    if found[0][0]:
        engine.delete(table, condition, params)
    return int(found[0][0])


def purge(engine: Engine, rows: dict[str, int]) -> None:
    """Writes anew the parts that had some: deleted rows are only masked until then."""
    for table, count in rows.items():
        if count:
            engine.purge(table)
