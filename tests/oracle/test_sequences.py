"""Section 5: sequences, to the millisecond and to the tie."""

from __future__ import annotations

import pytest

from relo_dsl.records import Record, tie_of
from relo_dsl.terms import (
    Absence,
    Ago,
    Compare,
    Condition,
    Not,
    Selection,
    Sequence,
    Step,
    Window,
)
from tests.oracle.build import DAY, HOUR, d, event, found, number

A, B, C = (Selection((name,)) for name in "abc")
#: Ids in the order of their ties.
IDS = sorted((f"id{n}" for n in range(6)), key=tie_of)


def then(*steps: Step, no: Absence | None = None) -> Sequence:
    return Sequence(steps, no)


def holds(condition: Condition, *records: Record) -> bool:
    return found(condition, [event("other"), *records]) == {"ana"}


@pytest.mark.parametrize(("second", "holding"), [(11, False), (10, False), (9, True)])
def test_a_later_step_is_strictly_later(second: int, holding: bool) -> None:
    records = [event("a", ago=10, eid=IDS[1]), event("b", ago=second, eid=IDS[0])]
    assert holds(then(Step(A), Step(B)), *records) is holding


def test_in_one_millisecond_the_tie_decides() -> None:
    early, late = event("a", ago=5, eid=IDS[0]), event("b", ago=5, eid=IDS[1])
    assert holds(then(Step(A), Step(B)), early, late)
    assert not holds(then(Step(B), Step(A)), early, late)


def test_one_event_never_fills_two_steps() -> None:
    twice = then(Step(A), Step(A))
    assert not holds(twice, event("a", ago=5))
    assert holds(twice, event("a", ago=5), event("a", ago=5))
    any_then_a = then(Step(Selection(())), Step(A))
    assert not holds(any_then_a, event("a", ago=5))


@pytest.mark.parametrize(("ago", "holding"), [(HOUR - 1, True), (HOUR, True), (HOUR + 1, False)])
def test_a_gap_includes_its_end(ago: int, holding: bool) -> None:
    records = [event("a", ago=ago), event("b", ago=0)]
    assert holds(then(Step(A), Step(B, gap=HOUR)), *records) is holding


def test_a_gap_is_counted_from_the_step_before_and_any_such_event_will_do() -> None:
    chain = then(Step(A), Step(B, gap=HOUR), Step(C, gap=HOUR))
    records = [event("a", ago=3 * HOUR), event("b", ago=2 * HOUR + 1), event("c", ago=0)]
    assert not holds(chain, *records)
    assert holds(chain, *records, event("a", ago=HOUR), event("b", ago=HOUR - 5))


def test_a_later_end_of_the_first_steps_can_be_the_right_one_and_an_earlier_one_too() -> None:
    chain = then(Step(A), Step(B), Step(C, gap=10))
    assert holds(chain, event("a", ago=90), event("b", ago=80), event("b", ago=5), event("c"))


def test_windows_of_the_first_step_and_of_all_steps() -> None:
    week = Window(Ago(7 * DAY))
    records = [event("a", ago=7 * DAY), event("b", ago=6 * DAY)]
    assert holds(then(Step(A), Step(B)), *records)
    assert not holds(then(Step(A, (week,)), Step(B)), *records)
    assert holds(then(Step(A), Step(B, (week,))), *records)
    old = Window(None, Ago(6 * DAY + 1))
    assert not holds(then(Step(A), Step(B, (week, old))), *records)


def test_steps_ask_for_properties() -> None:
    big = Selection(("a",), Compare(number("revenue"), ">", d(5)))
    small = event("a", ago=5, revenue=1)
    assert not holds(then(Step(big), Step(B)), small, event("b"))
    assert holds(then(Step(big), Step(B)), small, event("a", ago=4, revenue=6), event("b"))


CART = then(Step(A), no=Absence(B, DAY))


@pytest.mark.parametrize(("ago", "holding"), [(DAY - 1, False), (DAY, True), (DAY + 1, True)])
def test_then_no_holds_once_its_time_has_passed(ago: int, holding: bool) -> None:
    assert holds(CART, event("a", ago=ago)) is holding


@pytest.mark.parametrize(
    ("after", "holding"), [(1, False), (DAY - 1, False), (DAY, False), (DAY + 1, True), (-1, True)]
)
def test_then_no_includes_its_end(after: int, holding: bool) -> None:
    records = [event("a", ago=5 * DAY), event("b", ago=5 * DAY - after)]
    assert holds(CART, *records) is holding


def test_then_no_in_the_same_millisecond_goes_by_the_tie() -> None:
    cart = event("a", ago=2 * DAY, eid=IDS[2])
    assert holds(CART, cart, event("b", ago=2 * DAY, eid=IDS[1]))
    assert not holds(CART, cart, event("b", ago=2 * DAY, eid=IDS[3]))


def test_one_end_that_was_left_alone_is_enough() -> None:
    carts = [event("a", ago=9 * DAY), event("a", ago=5 * DAY), event("b", ago=5 * DAY - 1)]
    assert holds(CART, *carts)
    assert not holds(CART, *carts[1:])


def test_the_event_itself_does_not_count_against_it() -> None:
    alone = then(Step(A), no=Absence(A, DAY))
    assert holds(alone, event("a", ago=3 * DAY), event("a", ago=2 * DAY - 1))
    assert not holds(alone, event("a", ago=2 * DAY - 1), event("a", ago=DAY - 1))


def test_no_events_and_negation() -> None:
    assert not holds(CART)
    assert holds(Not(CART))


def test_late_arrivals_count_by_their_own_time() -> None:
    assert holds(then(Step(A), Step(B)), event("b", ago=1), event("a", ago=2))
