"""Written tests as records and expectations, and the mistakes in them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from relo_dsl.records import tie_of
from relo_dsl.times import UNITS, format_instant, parse_instant
from tests.testing.build import cases, diagnostics, found, workspace

DAY = UNITS["d"]
ONE = 'test "t" at 2026-03-18\n  given ana: {}\n  expect ana'
FIRST = parse_instant("2026-03-18", "America/Mexico_City")


def test_records_are_counted_from_the_first_instant() -> None:
    (case,) = cases("""
test "t" at 2026-03-18, 2026-03-01, 2026-04-01T10:00Z
  given ana: purchase(revenue: 1) 2d3h ago
             purchase(revenue: 2) now
             purchase(revenue: 3) at 2026-03-01
             purchase(revenue: 4) at 2026-03-01T00:00Z
  expect ana
""")
    local = FIRST - 17 * DAY
    assert [record.time for record in case.records] == [
        FIRST - 2 * DAY - 3 * UNITS["h"], FIRST, local, local - 6 * UNITS["h"],
    ]  # fmt: skip
    assert case.instants == (FIRST, local, parse_instant("2026-04-01T10:00Z"))


def test_local_dates_are_the_definitions() -> None:
    (case,) = cases(ONE.format("purchase() at 2026-03-01"), head='  timezone "Asia/Kolkata"')
    assert format_instant(case.instants[0]) == "2026-03-17T18:30:00.000Z"
    assert format_instant(case.records[0].time) == "2026-02-28T18:30:00.000Z"


def test_values_of_every_kind() -> None:
    (case,) = cases(
        ONE.format(
            'purchase(revenue: -20.5, tags: ["new", null, "x"], address: {city: "Puebla"},'
            ' due: "2026-04-01T00:00Z", products: [{id: "SKU-1", price: 10}, {id: "SKU-2"}]) now\n'
            '   purchase(address.city: "Tepic", revenue: null) now\n'
            "   identify(plan: null, age: 3, interests: []) now\n"
            "   consent(251) now\n"
            "   score(churn: 0.8) now"
        )
    )
    first, second, identify, consent, score = case.records
    assert first.values == {
        "revenue": Decimal("-20.5"),
        "tags": ("new", "x"),
        "address.city": "Puebla",
        "due": Decimal(parse_instant("2026-04-01T00:00Z")),
        "products": ({"id": "SKU-1", "price": Decimal(10)}, {"id": "SKU-2"}),
    }
    assert second.values == {"address.city": "Tepic"}
    assert identify.values == {"plan": None, "age": Decimal(3), "interests": ()}
    assert (consent.kind, consent.consent) == ("consent", 251)
    assert score.values == {"churn": Decimal("0.8")}
    assert {record.client for record in case.records} == {3}


def test_equal_records_are_two_and_equal_times_keep_their_order() -> None:
    for device in ("ana", "beto", "caro", "dora"):
        (case,) = cases(
            f'test "t" at 2026-03-18\n  given {device}: '
            + " ".join("purchase(revenue: 1) 1d ago" for _ in range(6))
            + f" purchase() 2d ago\n  expect {device}"
        )
        same = [record for record in case.records if record.values]
        assert len({record.id for record in case.records}) == 7
        assert [tie_of(record.id) for record in same] == sorted(tie_of(r.id) for r in same)
        assert {record.id.rpartition(":")[0] for record in same} == {f"test:{device}"}


def test_a_device_given_twice_has_all_its_records() -> None:
    (case,) = cases("""
test "t" at 2026-03-18
  given ana: purchase() 1d ago
  given ana: purchase() 1d ago
  and list vip: ana
  and list vip: beto
  expect ana
""")
    assert len({record.id for record in case.records}) == 2
    assert case.lists == {"vip": frozenset({"ana", "beto"})}


def test_what_is_looked_at() -> None:
    (case,) = cases("""
test "t" at 2026-03-18T00:00Z, 2026-03-11T00:00Z, 2026-03-12T00:00Z
  given ana: purchase() at 2026-03-11T12:00Z
             purchase() at 2026-03-20T12:00Z
  expect not beto
  expect ana from 2026-03-10T00:00Z until 2026-03-12T00:00Z
  expect ana until 2026-03-15T00:00Z
  expect not ana from 2026-03-16T00:00Z
""")
    day = parse_instant("2026-03-10T00:00Z")
    looks = [(c.device, c.at - day, c.member) for c in case.checks()]
    assert looks == [
        ("beto", 8 * DAY, False), ("beto", DAY, False), ("beto", 2 * DAY, False),
        ("ana", -1, False), ("ana", 0, True), ("ana", 2 * DAY - 1, True), ("ana", 2 * DAY, False),
        ("ana", DAY, True),
        ("ana", 5 * DAY - 1, True), ("ana", 5 * DAY, False), ("ana", DAY, True),
        ("ana", 2 * DAY, True),
        ("ana", 6 * DAY - 1, True), ("ana", 6 * DAY, False), ("ana", 8 * DAY, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "code", "marked"),
    [
        ("purchas() now", "unknown-event", "purchas"),
        ("purchase(revenu: 1) now", "unknown-property", "revenu"),
        ("purchase(address: {cty: \"x\"}) now", "unknown-property", "cty"),
        ("purchase(products: [{id: \"a\"}, {pric: 1}]) now", "unknown-property", "pric"),
        ('purchase(revenue: "1") now', "type-mismatch", '"1"'),
        ("purchase(tags: 5) now", "type-mismatch", "5"),
        ("purchase(tags: [5]) now", "type-mismatch", "tags"),
        ('purchase(due: "soon") now', "type-mismatch", '"soon"'),
        ('purchase(products: [{price: "x"}]) now', "type-mismatch", '"x"'),
        ("purchase(products: [1]) now", "type-mismatch", "products"),
        ('purchase(products: {id: "x"}) now', "type-mismatch", '{id: "x"}'),
        ('purchase(products.id: "x", revenue: 1) now', "type-mismatch", "products.id"),
        ("purchase(20) now", "expected-property", "20"),
        ("purchase(revenue: 1, revenue: 2) now", "duplicate-definition", "revenue"),
        ("identify(plan: 1) now", "type-mismatch", "1"),
        ("identify(pln: 1) now", "unknown-trait", "pln"),
        ("consent(256) now", "type-mismatch", "consent(256) now"),
        ("consent(1.5) now", "type-mismatch", "consent(1.5) now"),
        ("consent() now", "type-mismatch", "consent() now"),
        ("consent(email: 1) now", "type-mismatch", "consent(email: 1) now"),
        ('score(churn: "high") now', "type-mismatch", '"high"'),
        ("score() now", "type-mismatch", "score() now"),
        ("purchase() at 2026-02-30", "date", "2026-02-30"),
        ("purchase() at 1800-01-01", "date", "1800-01-01"),
    ],
)  # fmt: skip
def test_a_record_that_could_not_come_in(record: str, code: str, marked: str) -> None:
    assert found(ONE.format(record)) == [(code, marked)]


def test_a_wrong_name_gets_the_nearest() -> None:
    (item,) = diagnostics(ONE.format("purchas() now"))
    assert (item.help, item.replacement) == ("did you mean `purchase`?", "purchase")


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("given list vp: ana\n given ana: purchase() now\n expect ana", ("unknown-list", "vp")),
        (
            "given ana: purchase() now\n expect ana from 2026-03-10 until 2026-03-10",
            ("range-order", "expect ana from 2026-03-10 until 2026-03-10"),
        ),
        ("given ana: purchase() now\n expect ana from 1800-01-01", ("date", "1800-01-01")),
        ("given ana: purchase() now", ("idle-test", '"t"')),
        ("given ana: purchase() now\n expect not anna", ("idle-test", "anna")),
        (
            "given ana: purchase() now\n purchase() at 2026-03-18T00:00:00.001\n expect ana",
            ("idle-test", "at 2026-03-18T00:00:00.001"),
        ),
    ],
)
def test_other_mistakes(test: str, expected: tuple[str, str]) -> None:
    assert found(f'test "t" at 2026-03-18\n {test}') == [expected]


@pytest.mark.parametrize(
    "test",
    [
        "given ana: purchase() now\n expect not zoe",
        "given ana: purchase() now\n expect anna",
        "given ana: purchase() at 2026-03-20\n expect ana from 2026-03-20",
        "given list vip: ana\n expect not ana",
        "given ana: purchase() now\n and list theirs: ana\n expect ana",
    ],
)
def test_no_remark(test: str) -> None:
    match = "purchase or in list theirs" if "theirs" in test else "purchase within 30d"
    project = workspace(f'test "t" at 2026-03-18\n {test}', match)
    assert project.check() == []


def test_a_test_with_a_mistake_does_not_keep_the_others_from_being_read() -> None:
    project = workspace(
        'test "bad" at 2026-03-18\n given ana: purchas() now\n expect ana\n'
        'test "good" at 2026-03-18\n given ana: purchase() now\n expect ana'
    )
    assert [case.title for case in project.tests("a")] == ["good"]


def test_unknown_names_are_absent_where_they_may_be() -> None:
    project = workspace(ONE.format("purchas(revenu: 1) now"))
    project.allow_unknown = True
    (case,) = project.tests("a")
    assert case.records[0].type == "purchas"
