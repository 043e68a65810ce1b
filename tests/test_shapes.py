"""What a shape takes is what records are; what it leaves, the way of records decides."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relo_dsl.catalog import PropertyType, parse_catalog
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
from relo_dsl.shapes import Column, ShapedEvent, Shapes

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
      sizes: "number[]"
      products:
        type: "object[]"
        fields: {id: string, price: number, gift: boolean, since: time, due: number}
      email: string
  visit: {properties: {page: string, home: point, home.lat: number}}
  plain: {}
  cart:
    properties:
      products: {type: "object[]", fields: {id: string, price: string, note: string, due: time}}
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
NAMES = [
    "revenue", "product_line", "gift", "order.total", "order", "paid_at", "tags", "sizes",
    "products", "email", "page", "home", "home.lat", "other",
]  # fmt: skip
KEYS = ["t", "ts", "did", "eid", "props", "cid", "flags", "traits", "consent", "extra"]
FIELDS = ["id", "price", "gift", "due", "since", "note", "other"]
numbers = st.one_of(st.integers(-999, 999), st.sampled_from([0.5, -2.25, 99_999_999_999.5]))
texts = st.sampled_from(["a", "MX", "é", ""])
GOOD = {
    "revenue": numbers, "order.total": numbers, "product_line": texts, "gift": st.booleans(),
    "tags": st.lists(texts, max_size=3), "sizes": st.lists(numbers, max_size=3),
}  # fmt: skip
ELEMENT = {"id": texts, "price": numbers, "gift": st.booleans(), "due": numbers}
IN_A_CART = {"id": texts, "price": texts, "note": texts}


def some(fields: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional={k: st.none() | v for k, v in fields.items()})


GOOD_PROPS = {
    "purchase": some({**GOOD, "products": st.lists(some(ELEMENT), max_size=3)}),
    "cart": some({"products": st.lists(some(IN_A_CART), max_size=3)}),
    "visit": some({"page": texts}),
    "plain": st.none() | st.just({}),
    "new": st.just({}),
}


@st.composite
def raws(draw: st.DrawFn) -> dict[str, Any]:
    """A good record, but for what stands in at most two places."""
    type_ = draw(st.sampled_from(sorted(GOOD_PROPS)))
    raw = {"t": type_, "ts": 1_780_000_000_000, "did": "d1", "eid": "e1"}
    raw["props"] = draw(GOOD_PROPS[type_])
    for _ in range(draw(st.integers(0, 2))):
        place: Any = raw
        names: Any = KEYS
        if isinstance(raw["props"], dict) and draw(st.booleans()):
            place, names = raw["props"], NAMES
            inner = place.get(draw(st.sampled_from(["tags", "sizes", "products"])))
            if isinstance(inner, list) and inner and draw(st.booleans()):
                place, names = inner, range(len(inner))
                if isinstance(inner[0], dict) and draw(st.booleans()):
                    place, names = inner[0], FIELDS
        place[draw(st.sampled_from(names))] = draw(values)
    left = draw(st.sets(st.sampled_from(sorted(raw)), max_size=1)) if draw(st.booleans()) else set()
    return {name: value for name, value in raw.items() if name not in left}


def exact(value: Any) -> Any:
    return Decimal(value) if type(value) is int else value


def element_of(column: Column, element: Any) -> Any:
    """What stands for an element of an array in a record."""
    if column.kind is not PropertyType.OBJECTS:
        return exact(element)
    found = {name: getattr(element, attribute) for name, attribute in column.fields.items()}
    return {name: exact(value) for name, value in found.items() if value is not None}


def record_of(event: ShapedEvent, client: int) -> Record:
    """The same event as a record of that client."""
    shape, props = SHAPES.shape(event), event.props
    values = {}
    for column in shape.columns if props is not None else ():
        value = getattr(props, column.attribute)
        if isinstance(value, list):
            value = tuple(element_of(column, one) for one in value)
        if value is not None:
            values[column.name] = exact(value)
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
    {"revenue": None}, {"email": "e"}, {}, None, {"tags": []}, {"tags": ["a", "é"]},
    {"sizes": [1, 2.5]}, {"products": [{"id": "a", "price": 2, "gift": None}, {}]},
    {"products": []},
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
    {"props": {"tags": "a"}}, {"props": {"tags": ["a", None]}}, {"props": {"sizes": ["1"]}},
    {"props": {"sizes": [True]}}, {"props": {"sizes": [10**15]}}, {"props": {"products": [None]}},
    {"props": {"products": [{"price": "1"}]}}, {"props": {"products": [{"id": 1}]}},
    {"props": {"products": [{"other": 1}]}}, {"props": {"products": [{"since": 5}]}},
    {"props": {"order": {"total": 1}}}, {"props": {"paid_at": 5}},
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
            "t": source.choice(["purchase", "purchase", "cart", "visit", "plain"]),
            "ts": 1_780_000_000_000 + source.randrange(1000), "did": f"d{source.randrange(50)}",
            "eid": f"e{source.randrange(900)}", **({"flags": 3} if source.random() < 0.1 else {}),
        }).encode()
        for _ in range(1_000)
    ]  # fmt: skip
    props: dict[str, list[Any]] = {
        "revenue": [1, -2.25, 0.1, 99_999_999_999.5, None], "product_line": ["MX", "é"],
        "gift": [True, False], "order.total": [0, 3], "tags": [["a"], [], ["b", "b"], None],
        "sizes": [[1, 2.5], [], None], "products": [
            [{"id": "p1", "price": 3, "due": 5}, {"gift": True}], [], [{}], [{"price": None}], None,
        ],
    }  # fmt: skip
    of_carts = {"products": [[{"id": "p1", "price": "x"}, {"note": "n"}], [{}], [], None]}
    for number, line in enumerate(lines):
        raw = json.loads(line)
        some = {"purchase": props, "cart": of_carts}.get(raw["t"], {})
        raw["props"] = {
            name: source.choice(ones) for name, ones in some.items() if source.random() < 0.7
        }
        lines[number] = json.dumps(raw).encode()
    stored = []
    for turn in (0, 1):
        client = new_client + 500_000 * turn

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
