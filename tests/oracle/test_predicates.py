"""Section 4: predicates, missing values, text, arrays, elements; traits."""

from __future__ import annotations

from typing import Any

import pytest

from relo_dsl import interpret
from relo_dsl.catalog import PropertyType
from relo_dsl.records import parse_record, tie_of
from relo_dsl.terms import (
    Absent,
    And,
    AnyElement,
    Compare,
    CompareProperties,
    Exists,
    Has,
    InList,
    InRange,
    Not,
    OneOf,
    Op,
    Or,
    OrMissing,
    Predicate,
    Property,
    TextMatch,
    Trait,
)
from tests.oracle.build import CLIENT, d, event, found, identify, number, text

TAGS = Property("tags", PropertyType.STRINGS)
PRODUCTS = Property("products", PropertyType.OBJECTS)


def passes(predicate: Predicate, **props: Any) -> bool:
    raw = {"t": "x", "ts": 0, "cid": CLIENT, "did": "ana", "props": props}
    return interpret.test(predicate, parse_record(raw).values, 0)


# ---- comparisons -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "holding"),
    [("=", "2"), ("!=", "13"), ("<", "1"), ("<=", "12"), (">", "3"), (">=", "23")],
)
def test_the_operators(op: Op, holding: str) -> None:
    for value in (1, 2, 3):
        expected = str(value) in holding
        assert passes(Compare(number("n"), op, d(2)), n=value) is expected
        assert passes(Compare(text("s"), op, "2"), s=str(value)) is expected
        assert passes(CompareProperties(number("n"), op, number("m")), n=value, m=2) is expected


@pytest.mark.parametrize("op", ["=", "!=", "<", "<=", ">", ">="])
def test_a_comparison_with_an_absent_property_is_false(op: Op) -> None:
    assert not passes(Compare(text("s"), op, "x"))
    assert not passes(Compare(text("s"), op, "x"), s=None)
    assert not passes(CompareProperties(number("n"), op, number("m")), n=1)
    assert not passes(CompareProperties(number("n"), op, number("m")), m=1)


def test_negation_is_two_valued() -> None:
    equal = Compare(text("env"), "=", "prod")
    assert passes(Not(equal))
    assert not passes(Compare(text("env"), "!=", "prod"))
    assert passes(Not(Not(equal)), env="prod")


def test_decimals_are_exact() -> None:
    assert passes(Compare(number("n"), "=", d("0.3")), n=d("0.3"))
    assert passes(Compare(number("n"), ">", d("0.1")), n=d("0.100000001"))
    assert passes(Compare(number("n"), "=", d("1")), n=d("1.000000000"))


def test_strings_compare_by_code_point() -> None:
    less = Compare(text("s"), "<", "a")
    assert passes(less, s="Z")
    assert not passes(less, s="é")
    assert passes(Compare(text("s"), ">", "\uffff"), s="\U0001f600")


def test_booleans() -> None:
    flag = Property("b", PropertyType.BOOLEAN)
    assert passes(Compare(flag, "=", True), b=True)
    assert passes(Compare(flag, "!=", True), b=False)
    assert not passes(Compare(flag, "!=", True))


def test_times_compare_as_instants_however_they_came() -> None:
    due = Property("due", PropertyType.TIME)
    paid = Property("paid", PropertyType.TIME)
    before = CompareProperties(paid, "<", due, "UTC")
    assert passes(before, paid="2026-01-01", due="2026-01-01T00:00:00.001Z")
    assert passes(before, paid=1767225599999, due="2026-01-01")
    assert not passes(before, paid="2026-01-01T01:00:00+01:00", due="2026-01-01T00:00:00Z")


def test_a_value_of_another_type_is_absent() -> None:
    assert not passes(Compare(number("n"), "!=", d(1)), n="1")
    assert not passes(Exists(number("n")), n=True)
    assert not passes(Exists(text("s")), s=1)
    assert passes(OrMissing(Compare(number("n"), "=", d(1))), n="1")


def test_one_of_and_ranges() -> None:
    cities = OneOf(text("c"), ("Puebla", "León"))
    assert passes(cities, c="León")
    assert not passes(cities, c="leon")
    assert not passes(cities)
    others = OneOf(text("c"), ("Puebla",), negated=True)
    assert passes(others, c="León")
    assert not passes(others, c="Puebla")
    assert not passes(others)
    within = InRange(number("n"), d(2), d(5))
    assert [n for n in range(1, 7) if passes(within, n=n)] == [2, 3, 4, 5]
    outside = InRange(number("n"), d(2), d(5), negated=True)
    assert [n for n in range(1, 7) if passes(outside, n=n)] == [1, 6]
    assert not passes(outside)


# ---- presence ----------------------------------------------------------------------------------


def test_an_empty_string_or_array_is_present_and_null_is_not() -> None:
    assert passes(Exists(text("s")), s="")
    assert passes(Exists(TAGS), tags=[])
    assert not passes(Exists(text("s")), s=None)
    assert not passes(Exists(text("s")))


def test_or_missing() -> None:
    env = OrMissing(Compare(text("env"), "!=", "prod"))
    assert passes(env)
    assert passes(env, env="test")
    assert not passes(env, env="prod")
    both = OrMissing(CompareProperties(number("n"), "<", number("m")))
    assert passes(both, n=1)
    assert passes(both, m=1)
    assert not passes(both, n=2, m=1)


def test_or_missing_over_a_group_asks_for_any_of_its_properties() -> None:
    group = OrMissing(Or((Compare(text("a"), "=", "1"), Compare(text("b"), "=", "1"))))
    assert passes(group, a="0")
    assert not passes(group, a="0", b="0")


def test_absent_is_what_it_says() -> None:
    assert passes(Absent(True))
    assert passes(Not(Absent(False)))


# ---- text --------------------------------------------------------------------------------------


def found_in(value: str, how: Any, part: str, ignore_case: bool = False) -> bool:
    return passes(TextMatch(text("s"), how, part, ignore_case), s=value)


def test_contains_starts_and_ends() -> None:
    assert found_in("naïve", "contains", "ïv")
    assert not found_in("naïve", "contains", "i")
    assert found_in("abc", "starts with", "ab")
    assert not found_in("abc", "starts with", "bc")
    assert found_in("abc", "ends with", "bc")
    assert found_in("", "contains", "")
    assert found_in("a%_b", "contains", "%_")
    assert not found_in("ab", "contains", "_")
    assert not passes(TextMatch(text("s"), "contains", ""))


@pytest.mark.parametrize(
    ("value", "part", "expected"),
    [
        ("ÀB", "àb", True),
        ("àb", "ÀB", True),
        ("ΟΔΥΣΣΕΥΣ", "οδυς", True),
        ("ὀδυσσεύς", "ΣΣΕ", True),
        ("straße", "STRASSE", False),
        ("İ", "i̇", True),
        ("I", "ı", False),
    ],
)
def test_ignoring_case(value: str, part: str, expected: bool) -> None:
    assert found_in(value, "contains", part, True) is expected
    if value[0] == part[0]:
        assert not found_in(value, "contains", part) or value == part


@pytest.mark.parametrize(
    ("value", "pattern", "expected"),
    [
        ("xaby", "ab", True),
        ("xaby", "^ab", False),
        ("a\nb", "a.b", True),
        ("a\nb", "(?-s)a.b", False),
        ("a\nb", "a$", False),
        ("a\nb", "(?m)a$", True),
        ("aéb", "^a.b$", True),
        ("é", r"^\w$", False),
        ("é", r"^\pL$", True),
        ("a\0b", "a.b", True),
        ("x", "", True),
    ],
)
def test_patterns(value: str, pattern: str, expected: bool) -> None:
    assert found_in(value, "matches", pattern) is expected


def test_patterns_ignoring_case() -> None:
    assert found_in("ÉA", "matches", "éa", True)
    assert not found_in("ÉA", "matches", "éa")
    assert found_in("\u212a", "matches", "k", True)  # the Kelvin sign


# ---- arrays and elements -----------------------------------------------------------------------


def test_has() -> None:
    both = ("a", "b")
    assert passes(Has(TAGS, "any", both), tags=["b", "c"])
    assert not passes(Has(TAGS, "all", both), tags=["b", "c"])
    assert passes(Has(TAGS, "all", both), tags=["b", "a", "a"])
    assert not passes(Has(TAGS, "any", both), tags=[])
    assert not passes(Has(TAGS, "any", both))
    assert passes(OrMissing(Has(TAGS, "any", both)))
    assert not passes(OrMissing(Has(TAGS, "any", both)), tags=[])
    sizes = Property("sizes", PropertyType.NUMBERS)
    assert passes(Has(sizes, "any", (d("1.50"),)), sizes=[d("1.5")])


def test_an_empty_array_fits_every_array_type() -> None:
    for kind in (PropertyType.STRINGS, PropertyType.NUMBERS, PropertyType.OBJECTS):
        assert passes(Exists(Property("a", kind)), a=[])


def test_a_field_of_all_elements() -> None:
    ids = Property("id", PropertyType.STRING, parent="products")
    has = Has(ids, "any", ("SKU-1",))
    assert passes(has, products=[{"id": "SKU-2"}, {"id": "SKU-1"}])
    assert not passes(has, products=[{"price": 1}])
    assert not passes(has)
    assert passes(Exists(ids), products=[{"price": 1}])
    assert not passes(Exists(ids))


def test_one_element_passes_all() -> None:
    where: Predicate = And(
        (Compare(text("id"), "=", "SKU-1"), Compare(number("price"), ">", d(100)))
    )
    some = AnyElement(PRODUCTS, where)
    assert passes(some, products=[{"id": "SKU-1", "price": 101}])
    assert not passes(some, products=[{"id": "SKU-1", "price": 9}, {"id": "b", "price": 101}])
    assert not passes(some, products=[])
    assert not passes(some)
    unpriced = AnyElement(PRODUCTS, OrMissing(Compare(number("price"), ">", d(100))))
    assert passes(unpriced, products=[{"id": "SKU-1"}])
    assert not passes(unpriced, products=[])


def test_nested_names() -> None:
    puebla = Compare(text("address.city"), "=", "Puebla")
    assert passes(puebla, address={"city": "Puebla"})
    assert not passes(puebla, address={})


# ---- traits and lists --------------------------------------------------------------------------

PREMIUM = Trait(Compare(text("plan"), "=", "premium"))


def test_each_trait_has_its_own_latest_identify() -> None:
    city = Trait(Compare(text("city"), "=", "León"))
    records = [identify(ago=3, plan="premium", city="Puebla"), identify(ago=2, city="León")]
    assert found(And((PREMIUM, city)), records) == {"ana"}


def test_the_latest_time_wins_and_the_future_does_not_count() -> None:
    records = [identify(ago=1, plan="premium"), identify(ago=5, plan="free")]
    assert found(PREMIUM, records) == {"ana"}
    assert found(PREMIUM, [*records, identify(ago=-1, plan="free")]) == {"ana"}
    assert found(PREMIUM, [*records, identify(ago=0, plan="free")]) == set()


def test_at_one_time_the_greater_tie_wins() -> None:
    ids = sorted("abcdef", key=tie_of)
    low, high = ids[0], ids[-1]
    records = [identify(eid=high, plan="premium"), identify(eid=low, plan="free")]
    assert found(PREMIUM, records) == {"ana"}
    assert found(PREMIUM, records[::-1]) == {"ana"}


def test_a_trait_set_to_null_is_missing() -> None:
    records = [identify(ago=2, plan="premium"), identify(ago=1, plan=None)]
    assert found(PREMIUM, records) == set()
    assert found(Trait(OrMissing(Compare(text("plan"), "=", "premium"))), records) == {"ana"}
    assert found(Trait(Exists(text("plan"))), records) == set()


def test_a_device_without_identify_has_no_traits() -> None:
    assert found(PREMIUM, [event()]) == set()
    assert found(Not(PREMIUM), [event()]) == {"ana"}


def test_lists_hold_devices_of_the_universe_only() -> None:
    vip = {"vip": frozenset({"ana", "ghost"})}
    assert found(InList("vip"), [event(), event(device="beto")], lists=vip) == {"ana"}
    with pytest.raises(KeyError):
        found(InList("other"), [event()], lists=vip)
