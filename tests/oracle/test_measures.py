"""Section 5: measures, arithmetic, exact numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relo_dsl.catalog import PropertyType
from relo_dsl.consent import scope
from relo_dsl.interpret import DeviceView, History, quantity, view
from relo_dsl.plan import Plan
from relo_dsl.records import Record
from relo_dsl.terms import (
    Ago,
    Always,
    Arithmetic,
    Compare,
    Comparison,
    Constant,
    Measure,
    Op,
    Property,
    Quantity,
    Selection,
    Window,
)
from tests.oracle.build import CLIENT, NOW, d, event, found, number, text

PURCHASE = Selection(("purchase",))
KINDS = ["count", "sum", "avg", "min", "max", "median", "distinct"]


def device(*records: Record) -> DeviceView:
    scoped = scope(Plan(CLIENT, Always(True), 1, retention_months=None))
    history = History.of([event("other"), *records], client=CLIENT)
    return view(scoped, history.devices["ana"], NOW)


def measured(kind: Any, *records: Record, prop: Property | None = None) -> Decimal | None:
    prop = None if kind == "count" else prop or number("revenue")
    return quantity(Measure(kind, PURCHASE, prop), device(*records), NOW)


def test_over_some_values() -> None:
    records = [event(revenue=value) for value in (10, 2, 2, d("0.5"))]
    results = {kind: measured(kind, *records) for kind in KINDS}
    assert results == {
        "count": 4,
        "sum": d("14.5"),
        "avg": d("3.625"),
        "min": d("0.5"),
        "max": 10,
        "median": 2,
        "distinct": 3,
    }


def test_over_no_events_and_over_no_values() -> None:
    for records in ([], [event()], [event(revenue=None), event(revenue="10")]):
        results = {kind: measured(kind, *records) for kind in KINDS}
        assert results["count"] == len(records)
        assert (results["sum"], results["distinct"]) == (d(0), d(0))
        assert (results["avg"], results["min"], results["max"]) == (None,) * 3


def test_absent_values_do_not_count_in_an_average() -> None:
    assert measured("avg", event(revenue=4), event(revenue=2), event()) == 3


def test_averages_are_cut_towards_zero() -> None:
    assert measured("avg", event(revenue=2), event(revenue=0), event(revenue=0)) == d("0.666666666")
    negative = [event(revenue=-2), event(revenue=0), event(revenue=0)]
    assert measured("avg", *negative) == d("-0.666666666")


def test_medians_are_the_middle_or_the_mean_of_two_cut() -> None:
    assert measured("median", event(revenue=5), event(revenue=1), event(revenue=2), event()) == 2
    assert measured("median", event(revenue=1), event(revenue=2)) == d("1.5")
    smallest = d("0.000000001")
    assert measured("median", event(revenue=0), event(revenue=smallest)) == 0
    assert measured("median", event(revenue=0), event(revenue=-smallest)) == 0
    assert measured("median") is None


def test_sums_are_exact() -> None:
    tenths = [event(revenue=d("0.1")), event(revenue=d("0.2"))]
    assert measured("sum", *tenths) == d("0.3")
    big = d("999999999999999.999999999")
    assert measured("sum", *(event(revenue=big) for _ in range(3))) == big * 3


def test_distinct_over_texts_and_arrays() -> None:
    records = [event(city="a", tags=["x", "y"]), event(city="A", tags=["y"]), event(tags=[])]
    assert measured("distinct", *records, prop=text("city")) == 2
    tags = Property("tags", PropertyType.STRINGS)
    assert measured("distinct", *records, prop=tags) == 2


def test_a_field_of_an_array_of_objects_gives_all_its_values() -> None:
    prices = Property("price", PropertyType.NUMBER, parent="products")
    records = [event(products=[{"price": 1}, {"price": 2}, {}]), event(products=[{"price": 4}])]
    assert measured("sum", *records, prop=prices) == 7
    assert measured("min", *records, prop=prices) == 1


def test_numbers_that_are_written_differently_are_one() -> None:
    assert measured("distinct", event(revenue=d("1.50")), event(revenue=d("1.5"))) == 1


def test_each_measure_keeps_its_window_and_selection() -> None:
    cheap = Selection(("purchase",), Compare(number("revenue"), "<", d(5)))
    seen = device(event(ago=10, revenue=1), event(ago=20, revenue=9), event(ago=30, revenue=2))
    near = Measure("sum", cheap, number("revenue"), Window(Ago(20)))
    far = Measure("sum", PURCHASE, number("revenue"), Window(Ago(30), Ago(20)))
    assert quantity(near, seen, NOW) == 1
    assert quantity(far, seen, NOW) == 9


def const(value: str) -> Constant:
    return Constant(d(value))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (Arithmetic("+", const("0.1"), const("0.2")), d("0.3")),
        (Arithmetic("-", const("1"), const("3")), d("-2")),
        (Arithmetic("*", const("0.000000001"), const("0.000000001")), d("1e-18")),
        (Arithmetic("/", const("2"), const("3")), d("0.666666666")),
        (Arithmetic("/", const("-2"), const("3")), d("-0.666666666")),
        (Arithmetic("/", const("1"), const("0")), None),
        (Arithmetic("+", const("1"), Arithmetic("/", const("1"), const("0"))), None),
        (Arithmetic("*", const("0"), Measure("avg", PURCHASE, number("revenue"))), None),
    ],
)
def test_arithmetic(node: Quantity, expected: Decimal | None) -> None:
    assert quantity(node, device(), NOW) == expected


@pytest.mark.parametrize("op", ["=", "!=", "<", "<=", ">", ">="])
def test_a_comparison_with_a_missing_number_is_false(op: Op) -> None:
    missing = Measure("max", PURCHASE, number("revenue"))
    assert found(Comparison(missing, op, const("0")), [event("other")]) == set()
    assert found(Comparison(const("0"), op, missing), [event("other")]) == set()


def test_few_includes_none() -> None:
    few = Comparison(Measure("count", PURCHASE, None), "<", const("2"))
    records = [event("other"), event(device="beto"), event(device="carla"), event(device="carla")]
    assert found(few, records) == {"ana", "beto"}
