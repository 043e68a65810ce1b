"""Windows to the millisecond, what exists when, duplicates, order."""

from __future__ import annotations

import pytest

from relo_dsl.consent import scope
from relo_dsl.interpret import History, members, selected, view
from relo_dsl.plan import Plan
from relo_dsl.records import tie_of
from relo_dsl.terms import ALL_TIME, Ago, Always, And, At, Condition, Did, Not, Selection, Window
from tests.oracle.build import CLIENT, DAY, NOW, consent, did, event, found, identify, score

PURCHASE = Selection(("purchase",))


@pytest.mark.parametrize(("ago", "member"), [(-1, False), (0, True), (1, True)])
def test_an_event_after_t_does_not_exist_yet(ago: int, member: bool) -> None:
    assert found(did(), [event(ago=ago)]) == ({"ana"} if member else set())


@pytest.mark.parametrize(
    ("ago", "member"), [(30 * DAY - 1, True), (30 * DAY, False), (30 * DAY + 1, False)]
)
def test_within_excludes_its_start(ago: int, member: bool) -> None:
    assert found(did(within=30 * DAY), [event(ago=ago)]) == ({"ana"} if member else set())


@pytest.mark.parametrize(
    ("ago", "member"),
    [(29, False), (30, True), (31, True), (179, True), (180, False), (181, False)],
)
def test_between_includes_its_near_end_and_excludes_its_far_one(ago: int, member: bool) -> None:
    condition = Did(PURCHASE, Window(Ago(180 * DAY), Ago(30 * DAY)))
    records = [event(ago=ago * DAY)]
    assert found(condition, records) == ({"ana"} if member else set())


def test_within_is_exactly_its_two_halves() -> None:
    whole = did(within=180)
    near, far = did(within=30), Did(PURCHASE, Window(Ago(180), Ago(30)))
    for ago in (0, 29, 30, 31, 179, 180, 181):
        records = [event(ago=ago)]
        halves = found(near, records), found(far, records)
        assert found(whole, records) == halves[0] | halves[1]
        assert not halves[0] & halves[1]


@pytest.mark.parametrize(("ago", "member"), [(29, False), (30, True), (31, True)])
def test_before_ago_includes_its_end(ago: int, member: bool) -> None:
    condition = Did(PURCHASE, Window(until=Ago(30)))
    assert found(condition, [event(ago=ago)]) == ({"ana"} if member else set())


def test_fixed_ends_and_the_cap_at_t() -> None:
    since = Did(PURCHASE, Window(At(NOW - 101), At(NOW + 1000)))
    assert found(since, [event(ago=100)]) == {"ana"}
    assert found(since, [event(ago=101)]) == set()
    assert found(since, [event(ago=-1)]) == set()
    assert found(since, [event(ago=-1)], at=NOW + 1) == {"ana"}


def test_one_t_for_every_clause() -> None:
    came_back: Condition = And((did(within=180 * DAY), Not(did(within=30 * DAY))))
    records = [event(ago=0)]
    steps = {NOW - 1: set(), NOW + 30 * DAY - 1: set(), NOW + 30 * DAY: {"ana"}}
    for at, expected in steps.items():
        assert found(came_back, records, at=at) == expected


def test_the_universe_is_devices_with_a_visible_event_or_identify() -> None:
    records = [
        event("pageview", device="event"),
        identify(device="identify", plan="free"),
        consent(255, device="consent"),
        score(device="score", churn=0.5),
        event(device="later", ago=-1),
        event(device="hidden", flags=0),
        event(device="other client", client=4),
    ]
    assert found(Not(did()), records) == {"event", "identify"}
    assert found(Always(True), records) == {"event", "identify"}


def test_any_event_counts_events_only() -> None:
    records = [identify(device="identify"), event("x", device="event")]
    assert found(did(""), records) == {"event"}


def test_the_same_id_counts_once_and_the_first_accepted_stays() -> None:
    first = event("pageview", ago=5, eid="one")
    records = [first, event("purchase", ago=1, eid="one"), identify(eid="one", plan="pro")]
    assert found(did("pageview"), records) == {"ana"}
    assert found(did("purchase"), records) == set()
    assert found(did("purchase"), records[::-1]) == set()


def test_the_same_id_of_another_device_or_kind_is_still_a_duplicate() -> None:
    records = [consent(255, eid="one"), event(eid="one", device="beto"), event(device="carla")]
    assert found(did(), records) == {"carla"}


def test_the_same_id_of_another_client_is_another_event() -> None:
    records = [event(client=4, eid="one"), event(eid="one")]
    assert found(did(), records) == {"ana"}


def test_events_of_one_time_are_ordered_by_the_hash_of_their_ids() -> None:
    records = [event(ago=5, eid=name) for name in "abcdef"] + [event(ago=6, eid="old")]
    history = History.of(records, client=CLIENT)
    scoped = scope(Plan(CLIENT, Always(True), 1))
    seen = selected(PURCHASE, ALL_TIME, view(scoped, history.devices["ana"], NOW), NOW)
    assert [e.tie for e in seen] == [tie_of("old"), *sorted(map(tie_of, "abcdef"))]


def test_late_arrivals_count_by_their_own_time() -> None:
    records = [event(ago=1), event("pageview", ago=0), event(ago=40 * DAY)]
    assert found(Did(PURCHASE, Window(Ago(60 * DAY), Ago(30 * DAY))), records) == {"ana"}


def test_another_clients_history_is_refused() -> None:
    with pytest.raises(ValueError, match="client 4"):
        members(scope(Plan(3, Always(True), 1)), History.of([], client=4), NOW)
