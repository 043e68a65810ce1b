"""Times and points in the store: as they come, and read out of `rest` by a later catalog."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relo_dsl.catalog import PropertyType, parse_catalog
from relo_dsl.columns import event_column
from relo_dsl.engine import Engine, load_records
from relo_dsl.errors import UserError
from relo_dsl.interpret import read
from relo_dsl.records import Record, RecordError, check_types, parse_record
from relo_dsl.terms import Property
from relo_dsl.times import parse_instant

KEY = bytes(32)
NOW = 1_781_524_800_000  # not so long ago that retention would drop it
BARE = parse_catalog("events: {e: {}}")
PLACES: tuple[dict[str, Any], ...] = (
    {"spot": [19.5, -99.25]},
    {"spot": "19.5,-99.25"},
    {"spot": "-0.000000001 , 180"},
    {"spot": {"lat": 90, "lon": -180}},
    {"spot": {"lat": 1, "lng": 2, "city": "x"}},
    {"spot": {"latitude": 1.5, "longitude": 2}},
    {"spot": {"lat": 1}},
    {"spot": {"lat": "1", "lon": "2"}},
    {"spot": [91, 0]},
    {"spot": "91,0"},
    {"spot": [1, 2, 3]},
    {"spot": ["1", "2"]},
    {"spot": "1e1,2"},
    {"spot": "here"},
    {"spot": 5},
    {},
)
TIMES: tuple[Any, ...] = (
    "2026-06-15", "2026-06-15T00:00:00Z", "2026-06-15T12:00", "2026-06-15T12:00:00.0019+02:00",
    "1900-01-01", "2199-12-31", 1_781_524_800_000, -1, "2026-02-30", "soon", "2026", True,
)  # fmt: skip


def records(client: int, values: tuple[dict[str, Any], ...]) -> list[Record]:
    raw = {"t": "e", "cid": client, "did": "d"}
    return [
        parse_record({**raw, "ts": NOW + n, "eid": f"e{n}", "props": props})
        for n, props in enumerate(values)
    ]


def in_order(engine: Engine, client: int, what: str) -> list[Any]:
    rows = engine.rows(
        f"SELECT {what} FROM events WHERE client_id = {{c:UInt32}} ORDER BY time",
        {"c": client},
    )
    return [row[0] for row in rows]


def test_points_are_read_out_of_rest_as_the_evaluator_reads_them(
    engine: Engine, new_client: int
) -> None:
    placed = records(new_client, PLACES)
    load_records(engine, placed, catalog=BARE, key=KEY)
    load_records(
        engine, [], catalog=parse_catalog("events: {e: {properties: {spot: point}}}"), key=KEY
    )
    found = in_order(engine, new_client, event_column("spot", "point"))
    spot = Property("spot", PropertyType.POINT)
    assert [tuple(point) or None for point in found] == [read(spot, r.values) for r in placed]


def test_times_are_read_out_of_rest_as_the_evaluator_reads_them(
    engine: Engine, new_client: int
) -> None:
    timed = records(new_client, tuple({"when": value} for value in TIMES))
    load_records(engine, timed, catalog=BARE, key=KEY)
    load_records(
        engine, [], catalog=parse_catalog("events: {e: {properties: {when: time}}}"), key=KEY
    )
    column = event_column("when", "time")
    found = in_order(engine, new_client, f"reinterpretAsInt64({column})")
    when = Property("when", PropertyType.TIME)
    expected = []
    for record in timed:
        value = read(when, record.values)
        if value is None or isinstance(value, Decimal):
            expected.append(None if value is None else int(value) * 10)
        else:
            midnight = parse_instant(value.isoformat())
            expected.append(midnight * 10 + 1)
    assert found == expected


@pytest.mark.parametrize(
    "props",
    [{"spot": [91, 0]}, {"spot": {"lat": 1}}, {"spot": "here"}, {"spot": {"lat": 1, "lon": "x"}}],
)
def test_what_is_no_point_is_refused_with_a_catalog(props: dict[str, Any]) -> None:
    catalog = parse_catalog("events: {e: {properties: {spot: point}}}")
    with pytest.raises(RecordError):
        check_types(records(1, (props,))[0], catalog)


def test_points_in_parts_come_under_one_name() -> None:
    catalog = parse_catalog("traits: {home: point}")
    raw = {"t": "identify", "cid": 1, "did": "d", "ts": 0, "eid": "1"}

    def checked(home: Any) -> Any:
        return dict(check_types(parse_record({**raw, "traits": {"home": home}}), catalog).values)

    assert checked({"lat": 1, "lon": 2, "x": 3}) == {"home": (Decimal(1), Decimal(2)), "home.x": 3}
    assert checked({"lat": None, "lon": None}) == {"home": None}
    assert checked(None) == {"home": None}
    with pytest.raises(RecordError):
        checked({"lat": None, "lon": 2})


@pytest.mark.parametrize(
    "text",
    [
        "places: {a: [91, 0]}",
        "places: {a: [1]}",
        "places: {a: {lat: 1}}",
        "places: {a: 5}",
        "places: {a: [x, y]}",
        "zones: {a: [[0, 0], [1, 1]]}",
        "zones: {a: [[0, 0], [1, 1], [0, 181]]}",
        'events: {e: {properties: {o: {type: "object[]", fields: {p: point}}}}}',
    ],
)
def test_a_catalog_whose_places_lie_nowhere_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_catalog(text)
