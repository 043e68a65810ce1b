"""Consent: current flags, carried flags, retention."""

from __future__ import annotations

import pytest

from relo_dsl.records import Record
from relo_dsl.terms import Always, Compare, Did, Exists, Not, Reference, Selection, Trait
from relo_dsl.times import parse_instant, subtract_months
from tests.oracle.build import DAY, NOW, consent, did, event, found, identify, number, text

ANYONE = Always(True)


def test_without_a_record_the_clients_default_counts() -> None:
    assert found(did(), [event()], mask=255) == {"ana"}
    assert found(did(), [event()], mask=1, default=0) == set()
    assert found(did(), [event(flags=1)], mask=1, default=0) == set()


def test_every_bit_of_the_mask_is_needed() -> None:
    records = [event(ago=5, flags=255), consent(4)]
    assert found(did(), records, mask=4) == {"ana"}
    assert found(did(), records, mask=5) == set()


@pytest.mark.parametrize(("ago", "member"), [(-1, True), (0, False), (1, False)])
def test_whoever_withdraws_leaves_at_once(ago: int, member: bool) -> None:
    records = [event(ago=100), consent(251, ago=ago)]
    assert found(did(), records, mask=4) == ({"ana"} if member else set())


def test_the_latest_event_time_wins_not_the_order_of_arrival() -> None:
    records = [event(ago=100, flags=255), consent(0, ago=5), consent(255, ago=10)]
    assert found(did(), records) == set()
    assert found(did(), [*records, consent(255, ago=4)]) == {"ana"}


def test_records_of_one_instant_are_anded() -> None:
    records = [event(ago=100, flags=255), consent(5, ago=1), consent(6, ago=1)]
    assert found(did(), records, mask=4) == {"ana"}
    assert found(did(), records, mask=1) == set()
    assert found(did(), records, mask=2) == set()


def test_a_duplicate_consent_record_is_dropped() -> None:
    records = [event(ago=9, flags=255), consent(255, eid="c"), consent(0, eid="c")]
    assert found(did(), records) == {"ana"}


def test_an_event_without_the_bit_is_invisible_to_every_clause() -> None:
    records = [event("pageview", ago=5), event(ago=4, flags=251)]
    assert found(did(), records, mask=4) == set()
    assert found(Not(did()), records, mask=4) == {"ana"}
    assert found(did(), records, mask=1) == {"ana"}


def test_an_invisible_event_or_identify_makes_no_device_exist() -> None:
    assert found(ANYONE, [event(flags=251)], mask=4) == set()
    assert found(ANYONE, [identify(flags=251)], mask=4) == set()
    assert found(ANYONE, [identify(flags=4)], mask=4) == {"ana"}


def test_an_event_without_flags_carries_the_consent_of_its_time() -> None:
    records = [consent(0, ago=50), event(ago=50), consent(255, ago=49)]
    assert found(did(), records) == set()
    assert found(did(), [*records, event(ago=49)]) == {"ana"}
    before = [event(ago=51), consent(0, ago=50), consent(255, ago=1)]
    assert found(did(), before) == {"ana"}
    assert found(did(), before, default=0) == set()


def test_a_consent_record_that_arrives_late_still_stamps_earlier_records() -> None:
    assert found(did(), [event(ago=10), consent(0, ago=20), consent(255, ago=5)]) == set()


def test_an_identify_is_stamped_and_hidden_like_an_event() -> None:
    premium = Trait(Compare(text("plan"), "=", "premium"))
    records = [identify(ago=9, plan="premium"), identify(ago=8, flags=1, plan="free")]
    assert found(premium, records, mask=1) == set()
    assert found(premium, records, mask=4) == {"ana"}


def test_a_referenced_segment_is_seen_under_the_mask_of_the_one_that_refers() -> None:
    buyers = Reference("buyers", Did(Selection(("purchase",))))
    records = [event(flags=1), event("pageview")]
    assert found(buyers, records, mask=1) == {"ana"}
    assert found(buyers, records, mask=4) == set()


# ---- retention ---------------------------------------------------------------------------------

EDGE = NOW - subtract_months(NOW, 24)


def test_no_retention_sees_everything() -> None:
    assert found(did(), [event(ago=40_000 * DAY)]) == {"ana"}


@pytest.mark.parametrize(("ago", "member"), [(EDGE - 1, True), (EDGE, True), (EDGE + 1, False)])
def test_events_older_than_their_retention_are_invisible(ago: int, member: bool) -> None:
    expected = {"ana"} if member else set()
    assert found(did(), [event(ago=ago)], months=24) == expected
    assert found(ANYONE, [event(ago=ago)], months=24, extended=60) == expected


def test_what_is_no_event_does_not_grow_old() -> None:
    old = identify(ago=90 * 365 * DAY, a=1)
    assert found(ANYONE, [old], months=1, extended=2) == {"ana"}
    assert found(Trait(Exists(number("a"))), [old], months=1, extended=2) == {"ana"}


def test_the_default_flags_do_not_lengthen_retention() -> None:
    assert found(did(), [event(ago=EDGE + 1)], months=24, extended=60, default=255) == set()


def test_flag_64_must_be_on_record_at_the_event_and_now() -> None:
    old = event(ago=EDGE + 1, flags=255)
    granted = consent(255, ago=EDGE + 1)

    def kept(*consents: Record) -> bool:
        return bool(found(did(), [old, *consents], months=24, extended=60))

    assert kept(granted)
    assert not kept(consent(255, ago=EDGE))  # granted only after the event
    assert not kept(granted, consent(255 - 64, ago=1))  # taken back since
    assert kept(granted, consent(255 - 64, ago=9), consent(255, ago=5))
    assert not kept(granted, consent(255 - 64, ago=EDGE + 1))  # at one instant: ANDed


def test_the_longer_retention_ends_too() -> None:
    far = NOW - subtract_months(NOW, 60)
    for ago, member in ((far, True), (far + 1, False)):
        records = [consent(255, ago=far + 9), event(ago=ago)]
        assert bool(found(did(), records, months=24, extended=60)) is member
        assert found(did(), records, months=24, extended=None) == {"ana"}


def test_what_has_expired_stays_so_at_the_end_of_months() -> None:
    last = parse_instant("2026-02-28T10:00:00Z")
    for at, seen in (
        ("2028-02-28T10:00:00.000Z", True),
        ("2028-02-28T10:00:00.001Z", False),
        ("2028-02-29T00:00:00Z", False),  # two years before there was no such day
        ("2028-02-29T23:59:59.999Z", False),
    ):
        members = found(did(), [event(ago=NOW - last)], at=parse_instant(at), months=24)
        assert bool(members) is seen, at
    march = [event(ago=NOW - parse_instant("2026-03-01T00:00:00Z"))]
    assert found(did(), march, at=parse_instant("2028-02-29T12:00:00Z"), months=24) == {"ana"}
