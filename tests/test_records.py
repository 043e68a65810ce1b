"""Reading records: what is taken, what is refused, and why."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import pytest

from relo_dsl.catalog import Catalog, parse_catalog
from relo_dsl.records import (
    MIN_TIME,
    RecordError,
    check_types,
    decode_line,
    default_id,
    parse_record,
    tie_of,
)

CATALOG: Catalog = parse_catalog(
    """
    events:
      purchase:
        properties:
          revenue: number
          due: time
          tags: string[]
          sizes: number[]
          products: {type: "object[]", fields: {id: string, price: number, at: time}}
    traits: {plan: string, birthday: time}
    """
)


def raw(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"t": "purchase", "ts": 1_710_244_800_000, "cid": 3, "did": "d1"}
    return {**base, **changes}


def refusal(**changes: Any) -> RecordError:
    with pytest.raises(RecordError) as caught:
        parse_record(raw(**changes))
    return caught.value


def test_an_event_is_flattened_and_its_numbers_are_exact() -> None:
    line = (
        '{"t":"purchase","ts":1710244800000,"cid":3,"did":"d1","eid":"e1","flags":251,'
        '"props":{"revenue":24999.10,"note":"","gone":null,"ok":true,'
        '"address":{"city":"Puebla","geo":{"x":1e2}},"tags":["a",null,"b"],"none":[],'
        '"products":[{"id":"S","dim":{"h":2}},{}]}}'
    )
    record = parse_record(decode_line(line))
    assert (record.kind, record.type, record.time, record.client, record.device, record.id) == (
        "event", "purchase", 1_710_244_800_000, 3, "d1", "e1",
    )  # fmt: skip
    assert record.flags == 251
    assert record.values == {
        "revenue": Decimal("24999.1"),
        "note": "",
        "ok": True,
        "address.city": "Puebla",
        "address.geo.x": Decimal(100),
        "tags": ("a", "b"),
        "none": (),
        "products": ({"id": "S", "dim.h": Decimal(2)}, {}),
    }


def test_the_other_kinds() -> None:
    identify = parse_record(raw(t="identify", traits={"plan": None, "a": {"b": 1}}))
    assert identify.kind == "identify"
    assert identify.values == {"plan": None, "a.b": Decimal(1)}
    assert parse_record(raw(t="identify")).values == {}
    consent = parse_record(raw(t="consent", consent=0))
    assert (consent.kind, consent.consent, consent.values) == ("consent", 0, {})
    score = parse_record(raw(t="score", scores={"churn": 0.81}))
    assert score.values == {"churn": Decimal("0.81")}


@pytest.mark.parametrize(
    ("ts", "millis"),
    [
        (1_710_244_800_000, 1_710_244_800_000),
        (Decimal("1710244800000.9"), 1_710_244_800_000),
        ("2024-03-12T12:00:00Z", 1_710_244_800_000),
        ("2024-03-12T12:00:00", 1_710_244_800_000),
        ("2024-03-12T06:00:00.1239-06:00", 1_710_244_800_123),
        ("2024-03-12", 1_710_201_600_000),
        (-1, -1),
    ],
)
def test_times(ts: Any, millis: int) -> None:
    assert parse_record(raw(ts=ts)).time == millis


@pytest.mark.parametrize(
    "ts",
    [None, True, "", "1710244800000", "2024-13-01", "yesterday", 10**15, Decimal("1e999999"),
     float("nan"), [], -(10**14)],
)  # fmt: skip
def test_times_that_are_refused(ts: Any) -> None:
    assert refusal(ts=ts).field == "ts"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"t": ""}, "t"),
        ({"t": 5}, "t"),
        ({"did": ""}, "did"),
        ({"did": 1.5}, "did"),
        ({"did": True}, "did"),
        ({"did": None}, "did"),
        ({"eid": ""}, "eid"),
        ({"cid": "3"}, "cid"),
        ({"cid": -1}, "cid"),
        ({"cid": 2**32}, "cid"),
        ({"flags": 256}, "flags"),
        ({"flags": True}, "flags"),
        ({"t": "consent"}, "consent"),
        ({"t": "consent", "consent": -1}, "consent"),
        ({"t": "consent", "consent": 1, "flags": 1}, "flags"),
        ({"t": "score"}, "scores"),
        ({"t": "score", "scores": {}}, "scores"),
        ({"t": "score", "scores": {"a": "1"}}, "scores.a"),
        ({"t": "score", "scores": {"a": None}}, "scores.a"),
        ({"traits": {}}, "traits"),
        ({"props": []}, "props"),
        ({"props": {"": 1}}, "props"),
        ({"props": {"n": 10**15}}, "props.n"),
        ({"props": {"n": Decimal("0.1234567891")}}, "props.n"),
        ({"props": {"n": float("inf")}}, "props.n"),
        ({"props": {"a.b": 1, "a": {"b": 2}}}, "props.a.b"),
        ({"props": {"a": [[1]]}}, "props.a"),
        ({"props": {"a": [{"x": [1]}]}}, "props.a.x"),
        ({"props": {"a": [{"x": 1}, 2]}}, "props.a"),
        ({"props": {"a": "\ud800"}}, "props.a"),
        ({"did": "\udfff"}, "did"),
    ],
)
def test_refusals_name_the_field(changes: dict[str, Any], field: str) -> None:
    assert refusal(**changes).field == field


def test_an_unknown_key_names_the_nearest() -> None:
    error = refusal(prop={})
    assert "`prop`" in error.reason
    assert "`props`" in error.reason


def test_nesting_is_bounded() -> None:
    deep: dict[str, Any] = {}
    for _ in range(50):
        deep = {"a": deep}
    assert "deeper" in refusal(props=deep).reason
    with pytest.raises(RecordError):
        decode_line('{"a":' * 100_000)


@pytest.mark.parametrize("line", ["", "{", "[]", "NaN", '{"a":NaN}', '"x"', '{"a":Infinity}'])
def test_lines_that_are_no_records(line: str) -> None:
    with pytest.raises(RecordError):
        decode_line(line)


def test_long_values_are_shortened() -> None:
    assert len(refusal(ts="x" * 10_000).value) == 60


def test_a_whole_number_is_an_id() -> None:
    record = parse_record(raw(did=7, eid=12))
    assert (record.device, record.id) == ("7", "12")


def test_ids_and_ties() -> None:
    first = {"t": "a", "ts": 1, "did": "é"}
    assert default_id(first) == default_id(dict(reversed(first.items())))
    canonical = '{"did":"é","t":"a","ts":1}'
    assert default_id(first) == hashlib.sha256(canonical.encode()).hexdigest()
    decimal = {"p": [Decimal("0.10"), {"b": True, "a": None}]}
    assert default_id(decimal) == hashlib.sha256(b'{"p":[0.10,{"a":null,"b":true}]}').hexdigest()
    assert tie_of("e1") == int(hashlib.sha256(b"e1").hexdigest()[:16], 16)
    assert parse_record({**first, "cid": 1}).id == default_id({**first, "cid": 1})


def test_types_are_checked_and_never_coerced() -> None:
    good = raw(props={"revenue": 1, "due": "2024-03-12T12:00:00Z", "tags": [], "other": "x",
                      "products": [{"id": "S", "at": 5}]})  # fmt: skip
    checked = check_types(parse_record(good), CATALOG)
    assert checked.values["due"] == Decimal(1_710_244_800_000)
    assert checked.values["products"] == ({"id": "S", "at": Decimal(5)},)
    assert checked.values["other"] == "x"


@pytest.mark.parametrize(
    ("props", "field"),
    [
        ({"revenue": "15"}, "props.revenue"),
        ({"revenue": True}, "props.revenue"),
        ({"revenue": [1]}, "props.revenue"),
        ({"due": "soon"}, "props.due"),
        ({"due": True}, "props.due"),
        ({"tags": "a"}, "props.tags"),
        ({"tags": [1]}, "props.tags"),
        ({"sizes": ["1"]}, "props.sizes"),
        ({"products": ["a"]}, "props.products"),
        ({"products": [{"price": "1"}]}, "props.products.price"),
    ],
)
def test_other_types_are_refused(props: dict[str, Any], field: str) -> None:
    record = parse_record(raw(props=props))
    with pytest.raises(RecordError) as caught:
        check_types(record, CATALOG)
    assert caught.value.field == field


def test_traits_are_checked_and_null_passes() -> None:
    record = parse_record(raw(t="identify", traits={"plan": None, "birthday": "1990-02-03"}))
    checked = check_types(record, CATALOG)
    assert checked.values == {"plan": None, "birthday": "1990-02-03"}
    with pytest.raises(RecordError):
        check_types(parse_record(raw(t="identify", traits={"plan": 1})), CATALOG)


def test_the_first_instant_of_1900_is_refused() -> None:
    raw = {"t": "visit", "did": "d", "cid": 3}
    with pytest.raises(RecordError, match="1900"):
        parse_record({**raw, "ts": "1900-01-01T00:00:00.000Z"})
    assert parse_record({**raw, "ts": "1900-01-01T00:00:00.001Z"}).time == MIN_TIME + 1
