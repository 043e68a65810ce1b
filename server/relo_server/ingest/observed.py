"""Events that came in and are in no catalog: accepted as they are, and waiting to be described."""

from __future__ import annotations

from typing import Any

from relo_dsl.catalog import Catalog
from relo_dsl.engine import Engine
from relo_dsl.times import UNITS, format_instant

#: How far back it looks, how many events it names, and of how many of each it reads the properties.
_DAYS, _EVENTS, _SAMPLE = 30, 100, 1_000

_NAMES = """
SELECT event_type, toUnixTimestamp64Milli(max(time)) AS last FROM events
WHERE client_id = {c:UInt32} AND event_type NOT IN {known:Array(String)} AND time >= {since}
GROUP BY event_type ORDER BY last DESC, event_type LIMIT {n:UInt32}
"""
_PROPERTIES = """
SELECT event_type, arraySort(groupUniqArrayArray(arrayMap(
  part -> (part.1, multiIf(part.2 LIKE '"%', 'string', part.2 IN ('true', 'false'), 'boolean',
    part.2 LIKE '[%', 'array', 'number')), JSONExtractKeysAndValuesRaw(rest))))
FROM (
  SELECT event_type, rest FROM events
  WHERE client_id = {c:UInt32} AND event_type IN {names:Array(String)} AND time >= {since}
  LIMIT {n:UInt32} BY event_type
) GROUP BY event_type
"""
_SINCE = "fromUnixTimestamp64Milli({s:Int64}, 'UTC')"


def observed(engine: Engine, client: int, catalog: Catalog, now: int) -> dict[str, dict[str, Any]]:
    """The client's events of the last 30 days that the catalog does not name, the latest first:
    when each was last seen, and what types its properties have had. Values are not told.
    """
    known = sorted(catalog.events)
    given = {"c": client, "s": now - _DAYS * UNITS["d"]}
    rows = engine.rows(_NAMES.replace("{since}", _SINCE), {**given, "known": known, "n": _EVENTS})
    if not rows:
        return {}
    names = [str(name) for name, _ in rows]
    properties: dict[str, dict[str, list[str]]] = {name: {} for name in names}
    for event, found in engine.rows(
        _PROPERTIES.replace("{since}", _SINCE), {**given, "names": names, "n": _SAMPLE}
    ):
        for name, kind in found:
            properties[str(event)].setdefault(str(name), []).append(str(kind))
    return {
        str(name): {"last": format_instant(int(last)), "properties": properties[str(name)]}
        for name, last in rows
    }
