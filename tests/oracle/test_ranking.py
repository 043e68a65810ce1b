"""Places in a ranking, samples and holdouts, by the evaluator."""

from __future__ import annotations

import hashlib
from decimal import Decimal

import pytest

from relo_dsl.catalog import parse_catalog
from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.interpret import History, holdout, members
from relo_dsl.records import parse_record
from relo_dsl.source import SourceFile
from relo_dsl.terms import Shares
from relo_dsl.times import parse_instant
from relo_dsl.workspace import Workspace

NOW = parse_instant("2026-06-15T12:00:00Z")
CATALOG = parse_catalog("events: {purchase: {properties: {revenue: number}}, visit: {}}")


def plan(text: str, name: str = "a") -> ScopedPlan:
    workspace = Workspace(CATALOG, client=3)
    workspace.add(SourceFile("a.seg", f"audience {name} match {text}"))
    assert not workspace.check(), workspace.check()
    return scope(workspace.plan(name))


def history(*events: tuple[str, str, object]) -> History:
    """Events of an hour ago: device, event, revenue (None: without)."""
    records = [
        parse_record(
            {
                "t": event,
                "ts": NOW - 3_600_000,
                "did": device,
                "eid": str(number),
                "props": {} if revenue is None else {"revenue": revenue},
            },
            3,
        )
        for number, (device, event, revenue) in enumerate(events)
    ]
    return History.of(records, client=3)


SHOP = history(
    ("ana", "purchase", 30), ("beto", "purchase", 20), ("carla", "purchase", 20),
    ("dora", "purchase", 10), ("emil", "purchase", None), ("fede", "visit", None),
)  # fmt: skip


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("top 1 by sum(purchase.revenue)", "ana"),
        ("top 2 by sum(purchase.revenue)", "ana beto"),  # the smaller key of a tie
        ("top 3 by sum(purchase.revenue)", "ana beto carla"),
        ("bottom 1 by sum(purchase.revenue)", "emil"),  # a sum over nothing is 0
        ("bottom 1 by max(purchase.revenue)", "dora"),  # a maximum over nothing is missing
        ("bottom 2 by max(purchase.revenue)", "dora beto"),
        ("top 100 by max(purchase.revenue)", "ana beto carla dora"),
        ("top 10% by max(purchase.revenue)", "ana"),  # of four, rounded up
        ("top 25% by max(purchase.revenue)", "ana"),
        ("top 25.000000001% by max(purchase.revenue)", "ana beto"),
        ("top 100% by max(purchase.revenue)", "ana beto carla dora"),
        ("top 1 by 0 - max(purchase.revenue)", "dora"),
        ("top 2 by 60 / max(purchase.revenue)", "dora beto"),
    ],
)
def test_a_place_in_a_ranking(keep: str, kept: str) -> None:
    scoped = plan(f"purchase keep {keep}")
    assert members(scoped, SHOP, NOW) == set(kept.split())


def test_only_devices_that_pass_are_ranked() -> None:
    scoped = plan("visit keep top 1 by count(purchase)")
    assert members(scoped, SHOP, NOW) == {"fede"}


def test_ties_go_by_the_key() -> None:
    scoped = plan("purchase keep top 2 by sum(purchase.revenue)")
    backwards = {"beto": "z", "carla": "y"}
    found = members(scoped, SHOP, NOW, key=lambda device: backwards.get(device, device))
    assert found == {"ana", "carla"}


CROWD = history(*((f"d{i}", "visit", None) for i in range(400)))


def number(device: str, name: str = "a") -> float:
    digest = hashlib.sha256(f"3|{name}|{device}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def test_a_sample_keeps_the_lowest_numbers() -> None:
    found = members(plan("visit sample 10%"), CROWD, NOW)
    assert found == {device for device in CROWD.devices if number(device) < 0.1}
    assert 20 < len(found) < 60
    more = members(plan("visit sample 12.5%"), CROWD, NOW)
    assert found < more
    assert members(plan("visit sample 10%", "b"), CROWD, NOW) != found
    assert members(plan("visit sample 100%"), CROWD, NOW) == set(CROWD.devices)


def test_a_holdout_takes_the_highest_numbers() -> None:
    scoped = plan("visit holdout 5%")
    held_out = holdout(scoped, CROWD, NOW)
    assert held_out == {device for device in CROWD.devices if number(device) >= 0.95}
    assert members(scoped, CROWD, NOW) == set(CROWD.devices) - held_out
    assert held_out < holdout(plan("visit holdout 20%"), CROWD, NOW)
    assert holdout(plan("visit"), CROWD, NOW) == set()


def test_a_sample_is_drawn_from_those_with_a_place() -> None:
    scoped = plan("visit keep top 100 by count(visit) sample 50%")
    best = sorted(CROWD.devices)[:100]
    assert members(scoped, CROWD, NOW) == {device for device in best if number(device) < 0.5}


def test_the_ends_are_exact() -> None:
    shares = Shares("a", Decimal("33.333333333"), Decimal("0.000000001"))
    assert shares.below == -(-33_333_333_333 * 2**64 // 10**11)
    assert shares.held_from == 2**64 - 2**64 // 10**11
    assert Shares("a", Decimal(100)).below is None
    assert Shares("a").held_from is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("visit keep top 0 by count(visit)", "number-out-of-range"),
        ("visit keep top 1.5 by count(visit)", "number-out-of-range"),
        ("visit keep top 101% by count(visit)", "number-out-of-range"),
        ("visit keep top 5 by 7", "expected-number"),
        ("visit keep top 5 by visit", "expected-number"),
        ("visit sample 0%", "number-out-of-range"),
        ("visit sample 100.1%", "number-out-of-range"),
        ("visit holdout 100%", "number-out-of-range"),
        ("visit sample 10% holdout 5%", "empty-holdout"),
    ],
)
def test_what_cannot_be(text: str, code: str) -> None:
    workspace = Workspace(CATALOG, client=3)
    workspace.add(SourceFile("a.seg", f"audience a match {text}"))
    assert [item.code for item in workspace.check()] == [code]


def test_a_segment_has_no_ranking() -> None:
    workspace = Workspace(CATALOG, client=3)
    workspace.add(SourceFile("a.seg", "segment a match visit keep top 5 by count(visit)"))
    assert [item.code for item in workspace.check()] == ["header-not-allowed"]
