"""How plans become passes, and passes queries."""

from __future__ import annotations

from itertools import pairwise

import pytest
from syrupy.assertion import SnapshotAssertion

from relo_dsl.consent import scope
from relo_dsl.engine import Engine
from relo_dsl.plan import Plan
from relo_dsl.sql.together import passes
from relo_dsl.sql.together.passes import spans
from relo_dsl.terms import Ago, And, Condition, Did, Not, Selection, Window
from relo_dsl.times import UNITS
from tests.differential.collect import collect
from tests.differential.runner import everything_kept
from tests.guards.cases import NOW
from tests.together.bundles import answers, bundles, own_answers, placed


def bought(days: int) -> Condition:
    return Did(Selection(("purchase",)), Window(Ago(days * UNITS["d"])))


def lapsed(days: int) -> Condition:
    return And((bought(days + 30), Not(bought(days))))


def test_a_pass_in_words(snapshot: SnapshotAssertion) -> None:
    plans = [scope(Plan(3, lapsed(7), mask=4)), scope(Plan(3, bought(37), mask=16))]
    (found,) = passes(plans, NOW)
    assert [query.text for query in found.queries] == snapshot
    assert found.plans == (0, 1)


def test_each_part_of_the_sort_key_is_read_once() -> None:
    plans = [scope(Plan(3, lapsed(day), mask=mask)) for day in range(1, 90) for mask in (4, 16)]
    (found,) = passes(plans, NOW)
    (query,) = found.queries
    assert query.text.count("FROM events") == 1
    assert found.plans == tuple(range(178))


def test_no_plans_need_no_pass() -> None:
    assert passes([], NOW) == []


def test_clients_are_not_answered_together() -> None:
    with pytest.raises(ValueError, match="several clients"):
        passes([scope(Plan(client, bought(7), mask=4)) for client in (3, 4)], NOW)


def test_what_keeps_events_for_another_time_is_another_pass() -> None:
    plans = [scope(Plan(3, bought(7), mask=4, retention_months=months)) for months in (24, 12, 24)]
    assert [one.plans for one in passes(plans, NOW)] == [(0, 2), (1,)]


def test_more_devices_or_less_memory_make_more_queries() -> None:
    plans = [scope(Plan(3, lapsed(day), mask=4)) for day in range(1, 30)]

    def queries(devices: int, memory: int) -> int:
        (found,) = passes(plans, NOW, devices=devices, memory=memory)
        return len(found.queries)

    assert queries(1000, 2**31) == 1
    assert 2 < queries(10**8, 2**32) < queries(10**9, 2**32)
    assert queries(10**8, 2**32) < queries(10**8, 2**30)


@pytest.mark.parametrize("number", [1, 2, 3, 7, 256, 1000])
def test_spans_have_every_key_once(number: int) -> None:
    found = spans(number)
    assert len(found) == number
    assert (found[0][0], found[-1][1]) == (None, None)
    assert all(one[1] == other[0] for one, other in pairwise(found))
    starts = [start for start, _ in found if start is not None]
    assert starts == sorted(set(starts))


def test_spans_change_no_answer(engine: Engine) -> None:
    """Lists, scores, traits, products that go together and rankings included."""
    cases, _ = collect(40, 77)
    members = 0
    with everything_kept(engine):
        for _, plans, at in placed(engine, bundles(cases, 40)):
            apart = answers(engine, plans, at, devices=10**7, memory=2**33)
            for index, plan in enumerate(plans):
                assert apart[index] == own_answers(engine, plan, at)
                members += sum(len(devices) for devices in apart[index].values())
    assert members > 100


def test_more_plans_than_a_word_has_bits(engine: Engine) -> None:
    """They stand in several words, those with a holdout in words of their own."""
    cases, _ = collect(6, 78)
    with everything_kept(engine):
        for _, plans, at in placed(engine, bundles(cases, 6)):
            many = [plan for plan in plans for _ in range(70)]
            together = answers(engine, many, at)
            for index, plan in enumerate(plans):
                own = own_answers(engine, plan, at)
                assert all(found == own for found in together[index * 70 : index * 70 + 70])
