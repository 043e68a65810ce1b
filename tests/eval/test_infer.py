"""Catalogs inferred from data."""

from __future__ import annotations

from typing import Any

from relo_dsl.catalog import Catalog, PropertyType
from relo_dsl.infer import (
    Inferred,
    as_taken,
    conflicts_in,
    infer_catalog,
    retyped,
    taken_in,
    with_absent,
)
from relo_dsl.records import parse_record
from relo_dsl.terms import (
    And,
    AnyElement,
    Comparison,
    Condition,
    Constant,
    Did,
    Exists,
    Measure,
    Property,
    Selection,
    Trait,
)
from tests.oracle.build import d, number, text


def inferred(*rows: dict[str, Any]) -> Inferred:
    placed = []
    for index, row in enumerate(rows, 1):
        kind = "identify" if "traits" in row else row.pop("t", "x")
        raw = {"t": kind, "ts": index, "cid": 3, "did": "ana", **row}
        placed.append((f"f:{index}", parse_record(raw)))
    return infer_catalog(placed)


def types(found: Inferred, event: str = "x") -> dict[str, str]:
    return {name: spec.type.value for name, spec in found.catalog.events[event].properties.items()}


def test_types() -> None:
    found = inferred(
        {"props": {"s": "1", "n": 1, "b": True, "ss": ["a"], "ns": [1], "when": "2026-01-01"}},
        {"props": {"o": [{"id": "a"}, {"price": 2}], "a": {"b": "c"}, "s": None}},
        {"traits": {"plan": "free", "gone": None}},
        {"t": "bare"},
    )
    assert types(found) == {
        "s": "string", "n": "number", "b": "boolean", "ss": "string[]", "ns": "number[]",
        "when": "string", "o": "object[]", "a.b": "string",
    }  # fmt: skip
    fields = found.catalog.events["x"].properties["o"].fields
    assert {k: v.type for k, v in fields.items()} == {
        "id": PropertyType.STRING,
        "price": PropertyType.NUMBER,
    }
    assert list(found.catalog.traits) == ["plan"]
    assert found.catalog.events["bare"].properties == {}
    assert found.conflicts == {}


def test_empty_arrays() -> None:
    found = inferred({"props": {"a": [], "b": []}}, {"props": {"b": [1]}}, {"props": {"o": [{}]}})
    assert types(found) == {"a": "string[]", "b": "number[]", "o": "object[]"}
    assert found.conflicts == {}


def test_mixed_types_are_conflicts() -> None:
    found = inferred(
        {"props": {"n": 1, "m": [], "x": [1, "a"], "f": [True], "o": [{"p": 1}]}},
        {"props": {"n": "1", "m": 1, "o": [{"p": "a"}]}},
        {"traits": {"age": 5}},
        {"traits": {"age": "old"}},
    )
    assert found.conflicts["x", "n"] == "number in f:1 and string in f:2"
    assert set(found.conflicts) == {
        ("x", "n"), ("x", "m"), ("x", "x"), ("x", "f"), ("x", "o.p"), ("", "age"),
    }  # fmt: skip


def test_only_what_is_used_is_a_problem() -> None:
    found = inferred(
        {"props": {"n": 1, "ok": 1, "o": [{"p": 1, "q": 1}]}},
        {"props": {"n": "1", "o": [{"p": "a"}]}},
        {"t": "y", "props": {"n": 1}},
        {"traits": {"n": 5}},
    )

    def used(condition: Condition) -> set[tuple[str, str]]:
        return {key for key, _ in conflicts_in(condition, found)}

    x, y = Selection(("x",)), Selection(("y",))
    objects = Property("o", PropertyType.OBJECTS)
    assert used(Did(x)) == set()
    assert used(Did(Selection(("x",), Exists(number("ok"))))) == set()
    assert used(Did(Selection(("x", "y"), Exists(number("n"))))) == {("x", "n")}
    assert used(Did(Selection(("y",), Exists(number("n"))))) == set()
    assert used(Did(Selection((), Exists(number("n"))))) == {("x", "n")}
    assert used(Trait(Exists(number("n")))) == set()
    total = Comparison(Measure("sum", x, number("n")), ">", Constant(d(1)))
    assert used(And((Did(y), total))) == {("x", "n")}
    assert used(Comparison(Measure("sum", y, number("n")), ">", Constant(d(1)))) == set()
    price = Property("p", PropertyType.NUMBER, parent="o")
    assert used(Did(Selection(("x",), Exists(price)))) == {("x", "o.p")}
    some = AnyElement(objects, Exists(text("p")))
    assert used(Did(Selection(("x",), some))) == {("x", "o.p")}
    assert used(Did(Selection(("x",), AnyElement(objects, Exists(text("q")))))) == set()


def test_what_a_definition_takes_for_a_time_or_a_point_is_one() -> None:
    found = inferred(
        {"t": "x", "props": {"due": "2026-06-15", "s": "soon", "n": 5, "at": [1, 2], "p.lat": 1}},
        {"t": "x", "props": {"due": 7, "spot": {"lat": 1, "lng": 2}, "o": [{"when": 5}]}},
    )
    assert types(found)["spot"] == "point"
    assert "p" not in types(found)
    specs = found.catalog.events["x"].properties
    assert [PropertyType.TIME in specs[name].readable for name in ("due", "s", "n")] == [
        True, False, True,
    ]  # fmt: skip
    assert specs["at"].readable == {PropertyType.POINT}
    due = Property("due", PropertyType.TIME)
    when = AnyElement(Property("o", PropertyType.OBJECTS), Exists(Property("when", due.type)))
    condition = Did(Selection(("x",), And((Exists(due), when))))
    assert conflicts_in(condition, found) == []
    taken = taken_in(condition, found.catalog)
    assert taken == {("x", "due"): PropertyType.TIME, ("x", "o.when"): PropertyType.TIME}
    after = retyped(found, taken)
    assert types(after)["due"] == "time"
    assert after.catalog.events["x"].properties["o"].fields["when"].type is PropertyType.TIME
    assert ("x", "due") in found.conflicts
    assert ("x", "due") not in after.conflicts
    assert taken_in(condition, after.catalog) == {}


def test_values_that_are_none_of_what_is_taken_are_left_out() -> None:
    found = inferred(
        {"t": "x", "props": {"due": "2026-06-15"}}, {"t": "x", "props": {"due": "soon"}}
    )
    after = retyped(found, {("x", "due"): PropertyType.TIME})
    raw = {"t": "x", "ts": 0, "cid": 1, "did": "d", "eid": "1"}
    kept = [
        dict(as_taken(parse_record({**raw, "props": {"due": due}}), after.catalog).values)
        for due in ("2026-06-15", "soon")
    ]
    assert kept == [{"due": "2026-06-15"}, {}]


def test_a_measure_of_what_nothing_has_finds_a_place_to_look() -> None:
    absent = Measure("sum", Selection(("sale",)), Property("worth", PropertyType.NUMBER))
    catalog = with_absent(Catalog(), [Comparison(absent, ">=", Constant(d(0)))])
    assert catalog.events["sale"].properties["worth"].type is PropertyType.NUMBER
    assert with_absent(catalog, [Comparison(absent, "<", Constant(d(1)))]) is catalog
