"""The next instant at which time alone changes the answer: never missed, never late."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from relo_dsl.catalog import PropertyType
from relo_dsl.consent import scope
from relo_dsl.flip import boundaries, is_candidate, next_flip
from relo_dsl.interpret import History, typed
from relo_dsl.plan import Plan
from relo_dsl.records import MAX_TIME, Record
from relo_dsl.terms import (
    Absence,
    Ago,
    Always,
    AnniversaryIn,
    At,
    Comparison,
    Condition,
    Constant,
    Did,
    Extreme,
    Held,
    InWindow,
    LocalStart,
    Measure,
    Not,
    Property,
    Regularity,
    Selection,
    Sequence,
    Step,
    Trait,
    Window,
)
from relo_dsl.times import (
    UNITS,
    TimeError,
    from_millis,
    local_midnight,
    parse_instant,
    period_start,
)
from tests.differential.cases import Case
from tests.differential.collect import collect
from tests.explain.corpus import CONDITIONS, PREDICATES, with_predicate
from tests.oracle.build import CLIENT, DAY, HOUR, NOW, consent, d, did, event, identify, text

ZONE = "America/Mexico_City"


def flips(
    condition: Condition,
    records: list[Record],
    at: int = NOW,
    *,
    mask: int = 1,
    months: int | None = None,
    extended: int | None = None,
) -> list[int]:
    """The first twelve changes after `at`, as milliseconds from NOW."""
    scoped = scope(Plan(CLIENT, condition, mask, 255, months, extended))
    history = History.of(records, client=CLIENT)
    found: list[int] = []
    now: int | None = at
    while now is not None and len(found) < 12:
        now = next_flip(scoped, history, "ana", now)
        if now is not None:
            found.append(now - NOW)
    return found


class TestEvents:
    def test_an_event_leaves_a_rolling_window(self) -> None:
        assert flips(did(within=30 * DAY), [event(ago=DAY)]) == [29 * DAY]

    def test_it_enters_and_leaves_a_window_that_lies_back(self) -> None:
        window = Window(Ago(5 * DAY), Ago(2 * DAY))
        assert flips(Did(Selection(("purchase",)), window), [event(ago=DAY)]) == [DAY, 4 * DAY]

    def test_a_fixed_window_is_left_by_no_time(self) -> None:
        window = Window(At(NOW - 2 * DAY), None)
        assert flips(Did(Selection(("purchase",)), window), [event(ago=DAY)]) == []

    def test_a_record_with_a_later_time_comes_into_sight(self) -> None:
        assert flips(did(within=DAY), [event(ago=-HOUR), event("view")]) == [HOUR, HOUR + DAY]

    def test_another_event_can_make_the_device_exist(self) -> None:
        assert flips(Not(did()), [event("view", ago=-HOUR)]) == [HOUR]

    def test_a_change_that_changes_nothing_is_left_out(self) -> None:
        condition = did(within=DAY)
        assert flips(condition, [event(ago=HOUR), event(ago=2 * HOUR)]) == [23 * HOUR]

    def test_a_count_changes_where_it_crosses_the_number(self) -> None:
        count = Measure("count", Selection(("purchase",)), None, Window(Ago(DAY)))
        condition = Comparison(count, ">=", Constant(d(2)))
        records = [event(ago=HOUR), event(ago=2 * HOUR), event(ago=3 * HOUR)]
        assert flips(condition, records) == [22 * HOUR]

    def test_no_such_device(self) -> None:
        scoped = scope(Plan(CLIENT, did(), 1, 255, None, None))
        with pytest.raises(KeyError):
            next_flip(scoped, History.of([], client=CLIENT), "ana", NOW)


class TestCalendars:
    def test_today_ends_at_the_next_local_midnight(self) -> None:
        window = Window(LocalStart("day", 0, ZONE))
        [left] = flips(Did(Selection(("purchase",)), window), [event()])
        assert left + NOW == parse_instant("2026-06-16T06:00:00Z")

    def test_last_month_starts_and_ends(self) -> None:
        window = Window(LocalStart("month", -1, "UTC"), LocalStart("month", 0, "UTC"))
        assert [left + NOW for left in flips(Did(Selection(("purchase",)), window), [event()])] == [
            parse_instant("2026-07-01"),
            parse_instant("2026-08-01"),
        ]

    @pytest.mark.parametrize(
        ("zone", "when"),
        [
            ("America/St_Johns", "2009-11-01T02:30:30Z"),  # 00:01 became 23:01 of the day before
            ("America/Sao_Paulo", "2018-11-04T02:59:59.999Z"),  # no midnight
            ("Europe/Madrid", "2026-10-25T00:30:00Z"),
            ("Pacific/Apia", "2011-12-30T09:00:00Z"),  # a day that never was
            ("Asia/Kolkata", "2026-01-01T00:00:00Z"),
        ],
    )
    def test_clock_changes(self, zone: str, when: str) -> None:
        middle = parse_instant(when)
        for unit in ("day", "week", "month"):
            for shift in (0, -1, -2):
                window = Window(LocalStart(unit, shift, zone), LocalStart(unit, shift + 1, zone))
                condition = Did(Selection(("purchase",)), window)
                for aside in (-HOUR, -1, 0, 1, 10 * UNITS["min"], HOUR):
                    history = History.of([event(ago=NOW - middle - aside)], client=CLIENT)
                    _check(Plan(CLIENT, condition, 1, 255, None, None), history, middle - DAY)


class TestOtherTerms:
    def test_an_absence_has_passed(self) -> None:
        steps = (Step(Selection(("cart",)), (Window(Ago(7 * DAY)),)),)
        condition = Sequence(steps, Absence(Selection(("purchase",)), DAY))
        assert flips(condition, [event("cart", ago=HOUR)]) == [23 * HOUR, 7 * DAY - HOUR]

    def test_a_trait_has_been_held(self) -> None:
        condition = Held(_is("status", "new"), 7 * DAY)
        assert flips(condition, [identify(DAY, status="new")]) == [6 * DAY]

    def test_the_first_event_leaves_its_window(self) -> None:
        condition = Extreme("first", Selection(("purchase",)), Window(Ago(7 * DAY)))
        assert flips(condition, [event(ago=DAY), event()]) == [6 * DAY]

    def test_periods_roll(self) -> None:
        count = Measure("count", Selection(("view",)), None)
        some = Comparison(count, ">=", Constant(d(1)))
        condition = Regularity(some, 2, 3, length=DAY)
        records = [event("view"), event("view", ago=DAY + HOUR)]
        assert flips(condition, records) == [2 * DAY - HOUR]

    def test_a_time_in_a_trait(self) -> None:
        window = Window(Ago(0), Ago(-2 * DAY))
        condition = Trait(InWindow(Property("ends", PropertyType.TIME), window, "UTC"))
        records = [identify(ends=NOW + 5 * DAY), event()]
        assert flips(condition, records) == [3 * DAY, 5 * DAY]

    def test_a_birthday_comes_again(self) -> None:
        window = Window(LocalStart("day", 0, ZONE), LocalStart("day", 1, ZONE))
        condition = Trait(AnniversaryIn(Property("born", PropertyType.TIME), window, ZONE))
        moments = flips(condition, [identify(born="1992-02-29T12:00:00-06:00")])
        days = ("2027-03-01", "2027-03-02", "2028-02-29", "2028-03-01", "2029-03-01")
        assert [moment + NOW for moment in moments[:5]] == [parse_instant(x, ZONE) for x in days]


class TestVisibility:
    def test_a_consent_of_the_future(self) -> None:
        assert flips(did(), [event(), consent(0, ago=-DAY)]) == [DAY]

    def test_retention_at_the_end_of_a_month(self) -> None:
        bought = parse_instant("2026-02-28T12:00:00Z")
        [*moments] = flips(did(), [event(ago=NOW - bought)], bought, months=1)
        assert [moment + NOW for moment in moments] == [parse_instant("2026-03-28T12:00:00.001Z")]

    def test_traits_do_not_grow_old(self) -> None:
        records = [identify(plan="free"), event(ago=DAY)]
        assert flips(Always(True), records, months=1, extended=2) == []
        assert flips(Always(True), records[1:], months=1) == flips(did(), records, months=1) != []

    def test_what_was_granted_to_be_kept_longer(self) -> None:
        records = [consent(255, ago=2 * DAY), event(ago=DAY)]
        [left] = flips(did(), records, months=1, extended=2)
        assert left + NOW == parse_instant("2026-08-14T12:00:00.001Z")


def test_random_plans_never_change_between_boundaries() -> None:
    cases, _ = collect(120, 77)
    checked = 0
    for case in cases:
        checked += _check_case(case)
    assert checked > 500


def test_walking_from_change_to_change_meets_every_one_and_ends() -> None:
    cases, _ = collect(150, 78)
    walked = 0
    for case in cases:
        plan = case.plan(CLIENT)
        history = History.of(case.records(CLIENT), client=CLIENT, default_flags=plan.default_flags)
        scoped, lists, at = scope(plan), dict(case.listed), case.instants[0]
        for device in sorted(history.devices)[:2]:
            found = boundaries(scoped, history, device, at)[:60]
            answers = [is_candidate(scoped, history, device, x, lists) for x in (at, *found)]
            pairs = zip(found, answers, answers[1:], strict=False)
            expected = [moment for moment, before, after in pairs if before is not after]
            now: int | None = at
            for moment in expected:
                assert now is not None
                now = next_flip(scoped, history, device, now, lists)
                assert now == moment
                walked += 1
            if len(found) < 60 and now is not None:
                assert next_flip(scoped, history, device, now, lists) is None
    assert walked > 20


# ---- probes ------------------------------------------------------------------------------------


def _check_case(case: Case) -> int:
    plan = case.plan(CLIENT)
    history = History.of(case.records(CLIENT), client=CLIENT, default_flags=plan.default_flags)
    return sum(
        _check(plan, history, at, dict(case.listed), len(plan.canonical) + at)
        for at in case.instants[:1]
    )


def _check(
    plan: Plan,
    history: History,
    at: int,
    lists: dict[str, frozenset[str]] | None = None,
    start: int = 1,
) -> int:
    """Probes around everything that the plan and the records name, found another way."""
    scoped = scope(plan)
    lists = lists or {}
    draw = random.Random(start)
    names = sorted(history.devices)
    checked = 0
    for device in draw.sample(names, min(3, len(names))):
        found = boundaries(scoped, history, device, at)
        assert all(moment > at for moment in found)
        known: dict[int, bool] = {}
        probes = sorted({x for x in _probes(plan, history, device, at) if at < x < MAX_TIME})
        for probe in draw.sample(probes, min(40, len(probes))):
            index = bisect_right(found, probe)
            since = found[index - 1] if index else at
            if since not in known:
                known[since] = is_candidate(scoped, history, device, since, lists)
            assert is_candidate(scoped, history, device, probe, lists) is known[since], probe
            checked += 1
        first = next_flip(scoped, history, device, at, lists)
        today = is_candidate(scoped, history, device, at, lists)
        for probe in probes[:20]:
            if first is None or probe < first:
                assert is_candidate(scoped, history, device, probe, lists) is today
        if first is not None:
            assert is_candidate(scoped, history, device, first, lists) is not today
            assert is_candidate(scoped, history, device, first - 1, lists) is today
    return checked


def _probes(plan: Plan, history: History, device: str, at: int) -> Iterator[int]:
    known = history.devices[device]
    records = (*known.events, *known.identifies, *known.scores)
    times = [record.time for record in records] + [record.time for record in known.consents]
    walked = list(_walk(plan.condition))
    spans = {0, *(node.millis for node in walked if isinstance(node, Ago))}
    spans |= {node.length for node in walked if isinstance(node, Absence | Held)}
    for node in walked:
        if isinstance(node, Regularity) and node.length:
            spans |= {i * node.length for i in range(node.periods + 1)}
    tests = [node for node in walked if isinstance(node, InWindow | AnniversaryIn)]
    for node in tests:
        moments = [m for record in records for m in _moments(record.values, node.zone)]
        times += moments
        if isinstance(node, AnniversaryIn):
            times += [day for moment in moments for day in _birthdays(moment, at, node.zone)]
    ends = {t + s for t in times for s in spans}
    for months in (plan.retention_months, plan.extended_months):
        if months:
            ends |= {t + (months * 30 + more) * DAY for t in times for more in range(31)}
    for node in walked:
        if isinstance(node, LocalStart):
            for shift in range(-3, 5):
                for time in times:
                    try:
                        ends.add(period_start(time, node.unit, shift - node.shift, node.zone))
                        ends.add(period_start(at, node.unit, shift, node.zone))
                    except TimeError:
                        continue
    for end in ends:
        yield from (end - 1, end, end + 1, end + HOUR, end + 90_000)


def _moments(value: Any, zone: str) -> Iterator[int]:
    """Every time among the values of a record."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _moments(item, zone)
    elif isinstance(value, tuple):
        for item in value:
            yield from _moments(item, zone)
    elif isinstance(value, str | Decimal):
        moment = typed(PropertyType.TIME, value)
        if isinstance(moment, date):
            yield local_midnight(moment, zone)
        elif moment is not None:
            yield int(moment)


def _birthdays(moment: int, at: int, zone: str) -> Iterator[int]:
    """The local midnights, in the years around T, of days like that of a moment, and near it."""
    born = from_millis(moment).astimezone(ZoneInfo(zone)).date()
    year = from_millis(at).year
    for number in range(year - 1, year + 6):
        for aside in (-1, 0, 1):
            day = date(number, born.month, min(born.day, 28)) + timedelta(days=aside)
            yield local_midnight(day + timedelta(days=max(0, born.day - 28)), zone)


def _walk(node: Any) -> Iterator[Any]:
    if isinstance(node, tuple):
        for item in node:
            yield from _walk(item)
    elif is_dataclass(node):
        yield node
        for item in fields(node):
            yield from _walk(getattr(node, item.name))


def _is(name: str, value: str) -> Any:
    from relo_dsl.terms import Compare

    return Compare(text(name), "=", value)


@pytest.mark.parametrize("name", [*CONDITIONS, *(f"where {name}" for name in PREDICATES)])
def test_every_term_over_random_records(name: str) -> None:
    condition = CONDITIONS.get(name) or with_predicate(PREDICATES[name.removeprefix("where ")])
    checked = 0
    for number in range(16):
        records = list(_random_records(random.Random(f"{name} {number}")))
        history = History.of(records, client=CLIENT)
        months = (None, 2)[number % 2]
        plan = Plan(CLIENT, condition, 1, 255, months, None if months is None else 4)
        checked += _check(plan, history, NOW, {"vip": frozenset({"ana"}), "staff": frozenset()})
    assert checked > 300


def _random_records(draw: random.Random) -> Iterator[Record]:
    """What the corpus speaks of, around the ends of its windows, and of one another."""
    spans = (0, HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 180 * DAY, 35 * DAY, -DAY, -HOUR)
    for device in ("ana", "beto"):
        for _ in range(draw.randint(1, 9)):
            ago = draw.choice(spans) + draw.choice(spans) + draw.choice((-1, 0, 1))
            times = [NOW + draw.choice(spans), "1992-02-29", "2026-06-18", "1990-06-17T05:00:00Z"]
            values: dict[str, Any] = {
                "revenue": draw.choice((1, 2, 5, 15001)),
                "product_line": draw.choice(("MX", "US", "m")),
                "due": draw.choice(times),
                "product_id": draw.choice(("SKU-1", "SKU-2")),
            }
            if draw.random() < 0.7:
                names = ("purchase", "purchase", "add_to_cart", "refund", "af_purchase")
                yield event(draw.choice(names), ago, device, **values)
            else:
                trait = draw.choice(("MX", "MX", "US", None))
                yield identify(ago, device, product_line=trait, due=values["due"])
        if draw.random() < 0.3:
            yield consent(draw.choice((255, 0, 64)), draw.choice(spans), device)
