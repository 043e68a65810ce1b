"""What a shape takes is what records are; what it leaves, the way of records decides."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relo_dsl.catalog import parse_catalog
from relo_dsl.engine import Engine, load_records
from relo_dsl.records import (
    MAX_TIME,
    MIN_TIME,
    Record,
    RecordError,
    check_types,
    decode_line,
    parse_record,
)
from relo_dsl.shapes import ShapedEvent, Shapes

CATALOG = parse_catalog("""
events:
  purchase:
    properties:
      revenue: number
      product_line: string
      gift: boolean
      order.total: number
      paid_at: time
      tags: "string[]"
      email: string
  visit: {properties: {page: string, home: point, home.lat: number}}
  plain: {}
  consent: {properties: {revenue: number}}
""")
SHAPES = Shapes(CATALOG)
SPECIAL: list[Any] = [
    None, True, False, 0, -1, 1, 10**15, 10**15 - 1, -(10**15), 10**400, 1.5, -0.0, 1e300, 1e-9, "",
    "12", "x", [], ["a"], {}, {"lat": 1, "lon": 2}, "ñ", MIN_TIME, MIN_TIME + 1, MAX_TIME,
    MAX_TIME - 1, 255, 256, 2**32 - 1, 2**32,
]  # fmt: skip
values = st.one_of(
    st.sampled_from(SPECIAL),
    st.text(max_size=4),
    st.integers(-(10**16), 10**16),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(-(10**16), 10**16, allow_nan=False, allow_infinity=False, places=10).map(float),
)
names = st.sampled_from(
    ["revenue", "product_line", "gift", "order.total", "order", "paid_at", "tags", "email", "page",
     "home", "home.lat", "other"]
)  # fmt: skip


def mostly(usual: Any) -> Any:
    return st.one_of(st.just(usual), st.just(usual), st.just(usual), values)


@st.composite
def raws(draw: st.DrawFn) -> dict[str, Any]:
    """A record, mostly a good one."""
    raw = {
        "t": draw(mostly(draw(st.sampled_from(["purchase", "visit", "plain", "consent", "new"])))),
        "ts": draw(mostly(1_780_000_000_000)),
        "did": draw(mostly("d1")),
        "eid": draw(mostly("e1")),
    }
    good = {"revenue": 12.5, "product_line": "MX", "gift": True, "page": "/a"}
    props = {name: draw(mostly(good.get(name, 3))) for name in draw(st.sets(names, max_size=4))}
    raw["props"] = draw(st.one_of(st.just(props), st.just(props), st.just(props), values))
    for name in draw(st.sets(st.sampled_from(["cid", "flags", "traits", "consent", "extra"]))):
        raw[name] = draw(values)
    left = draw(st.sets(st.sampled_from(sorted(raw)), max_size=1))
    return {name: value for name, value in raw.items() if name not in left}


def record_of(event: ShapedEvent, client: int) -> Record:
    """The same event as a record of that client."""
    shape, props = SHAPES.shape(event), event.props
    values = {}
    for column in shape.columns if props is not None else ():
        value = getattr(props, column.attribute)
        if value is not None:
            values[column.name] = Decimal(value) if type(value) is int else value
    return Record("event", shape.event, event.ts, client, event.did, event.eid, event.flags, values)


def as_record(raw: dict[str, Any]) -> Any:
    try:
        return check_types(parse_record(raw, 7), CATALOG)
    except RecordError as error:
        return error


@given(raws())
def test_a_shaped_event_is_the_record(raw: dict[str, Any]) -> None:
    line = json.dumps(raw).encode()
    event = SHAPES.read(line)
    if event is not None:
        client = 7 if event.cid is None else event.cid
        assert record_of(event, client) == as_record(decode_line(line))


@given(st.binary(max_size=60))
def test_whatever_bytes(data: bytes) -> None:
    assert SHAPES.read(data) is None


PURCHASE = {"t": "purchase", "ts": 1_780_000_000_000, "did": "d1", "eid": "e1"}


@pytest.mark.parametrize("props", [
    {"revenue": 12.5, "product_line": "MX", "gift": False}, {"revenue": 3}, {"order.total": 0.1},
    {"revenue": None}, {"email": "e"}, {}, None,
])  # fmt: skip
def test_the_usual_events_have_a_shape(props: dict[str, Any] | None) -> None:
    event = SHAPES.read(json.dumps({**PURCHASE, "props": props}).encode())
    assert event is not None
    assert record_of(event, 7) == as_record({**PURCHASE, "props": props})


@pytest.mark.parametrize("number", [
    "1e3", "123456789012345.6", "1234567890123456", "0.1234567890", "1E-3", '"12.5"', "true", "[1]",
    "NaN", "1e400",
])  # fmt: skip
def test_other_numbers_are_left(number: str) -> None:
    line = json.dumps({**PURCHASE, "props": {"revenue": 0}}).replace("0}}", number + "}}")
    assert SHAPES.read(line.encode()) is None


@pytest.mark.parametrize("change", [
    {"t": "consent"}, {"t": "other"}, {"ts": "2026-01-01"}, {"ts": MIN_TIME}, {"ts": MAX_TIME},
    {"did": ""}, {"did": 7}, {"eid": ""}, {"eid": None}, {"flags": 256}, {"cid": -1}, {"more": 1},
    {"props": {"tags": ["a"]}}, {"props": {"order": {"total": 1}}}, {"props": {"paid_at": 5}},
    {"props": {"other": 1}}, {"props": {"gift": 1}}, {"props": {"product_line": 1}},
    {"t": "visit", "props": {"home.lat": 1}},
])  # fmt: skip
def test_other_events_are_left(change: dict[str, Any]) -> None:
    assert SHAPES.read(json.dumps({**PURCHASE, **change}).encode()) is None


def test_a_property_without_a_column() -> None:
    shapes = Shapes(CATALOG, lambda name: name != "email")
    line = json.dumps({**PURCHASE, "props": {"email": "e"}}).encode()
    assert shapes.read(line) is None
    assert SHAPES.read(line) is not None


def test_a_catalog_without_events() -> None:
    assert Shapes(parse_catalog("traits: {plan: string}")).read(b'{"t": "x"}') is None


def test_both_ways_store_the_same(engine: Engine, new_client: int) -> None:
    """Half of some events as records, and half in shapes: twice, the other way round."""
    source = random.Random(6)
    lines = [
        json.dumps({
            "t": source.choice(["purchase", "purchase", "visit", "plain"]),
            "ts": 1_780_000_000_000 + source.randrange(1000), "did": f"d{source.randrange(50)}",
            "eid": f"e{source.randrange(900)}", **({"flags": 3} if source.random() < 0.1 else {}),
        }).encode()
        for _ in range(1_000)
    ]  # fmt: skip
    props: dict[str, list[Any]] = {
        "revenue": [1, -2.25, 0.1, 99_999_999_999.5, None], "product_line": ["MX", "é"],
        "gift": [True, False], "order.total": [0, 3],
    }  # fmt: skip
    for number, line in enumerate(lines):
        raw = json.loads(line)
        if raw["t"] == "purchase":
            raw["props"] = {
                name: source.choice(some) for name, some in props.items() if source.random() < 0.7
            }
            lines[number] = json.dumps(raw).encode()
    stored = []
    for turn in (0, 1):
        client = new_client + 500_000 * (turn + 1)

        def parts(turn: int = turn, client: int = client) -> Any:
            for number, line in enumerate(lines):
                event = SHAPES.read(line)
                assert event is not None
                event.cid = client
                if number % 2 == turn:
                    yield [event]
                else:
                    yield parse_record(decode_line(line), client)

        report = load_records(
            engine, parts(), catalog=CATALOG, key=b"k", shapes=SHAPES,
            device_of=lambda _, device: device.encode().ljust(16),
        )  # fmt: skip
        assert (report.accepted + report.duplicate, report.refused) == (1_000, 0)
        assert report.duplicate > 100
        stored.append(engine.rows(
            "SELECT * EXCEPT client_id FROM events WHERE client_id = {c:UInt32} ORDER BY tie",
            {"c": client},
        ))  # fmt: skip
    assert stored[0] == stored[1]
    assert Decimal("-2.25") in {value for row in stored[0] for value in row if value.__hash__}
