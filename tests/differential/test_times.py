"""Times beside the evaluator where chance seldom leads: leap days, odd midnights, every zone."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from relo_dsl.engine import Engine
from relo_dsl.times import local_midnight, parse_instant
from tests.differential.cases import Case
from tests.differential.runner import Tally, compare, everything_kept

_DAYS = (
    "1904-02-29", "2000-02-29", "2024-02-29", "2025-02-28", "2026-03-01", "2025-03-01",
    "2028-02-28", "1996-12-31", "1997-01-01", "2026-02-28", "2026-03-02", "2011-12-30",
    "2011-12-31", "2026-09-06", "2026-09-05", "2026-04-05", "2026-10-25", "2026-03-29",
    "1900-01-01", "2199-12-31",
)  # fmt: skip
_HOURS = ("T00:00:00Z", "T03:59:59.999Z", "T18:15:00Z")
_TESTS = (
    "user.born anniversary today",
    "user.born anniversary within next 1d",
    "user.born anniversary within 365d",
    "user.born anniversary within 366d",
    "user.born anniversary between 1d and 366d ago",
    "user.born anniversary in 2027",
    "user.born anniversary on 2028-02-29",
    "user.born anniversary on 2026-03-01",
    "user.born anniversary before 30d ago",
    "user.born today",
    "user.born within 1 calendar days",
    "user.born within next 1ms",
    "user.born within 1d",
    "user.born since 1900-01-01",
    "user.born before 1900-01-01",
    "user.born before 2199-12-31",
    "user.born < user.seen",
    "user.born >= user.seen",
    "user.born = user.seen or missing",
    "not user.born != user.seen",
)
_INSTANTS = ("2026-03-01", "2028-02-29", "2026-09-06")
_ZONES = ("America/Santiago", "Asia/Kathmandu", "Pacific/Apia")


def _lines() -> tuple[str, ...]:
    """One device for each date and each instant of it, and another date beside it."""
    values: list[str | int] = [*_DAYS, *(day + hour for day in _DAYS for hour in _HOURS)]
    for zone in _ZONES:
        midnight = parse_instant("2026-09-06", zone)
        values += [midnight, midnight - 1]
    found = []
    for number, value in enumerate(values):
        traits = {"born": value, "seen": _DAYS[number % len(_DAYS)]}
        if isinstance(value, str) and number % 3:
            traits["seen"] = value[:10]
        record = {"t": "identify", "ts": 0, "cid": 0, "did": f"d{number}", "eid": f"e{number}"}
        found.append(json.dumps({**record, "traits": traits}))
    return tuple(found)


@pytest.mark.differential
def test_odd_days_in_every_zone(engine: Engine) -> None:
    lines = _lines()
    cases = []
    for zone in _ZONES:
        instants = []
        for text in _INSTANTS:
            midnight = parse_instant(text, zone)
            instants += [midnight - 1, midnight]
        for test in _TESTS:
            text = f'audience main\n  timezone "{zone}"\n  match {test}\n'
            cases.append(Case(text, "opt-out", lines, len(lines), (), tuple(instants)))
    with everything_kept(engine):
        wrong = list(compare(engine, cases, Tally(), ("members",)))
    assert wrong == []


@pytest.mark.parametrize("zone", ["America/Santiago", "Pacific/Apia", "Asia/Kathmandu"])
def test_the_engine_knows_the_midnights(engine: Engine, zone: str) -> None:
    first = date(1960, 1, 1)
    count = (date(2100, 1, 1) - first).days
    [(found,)] = engine.rows(
        "SELECT groupArray(toUnixTimestamp64Milli(toDateTime64(toDate32('1960-01-01') + number, 3, "
        "{zone:String}))) FROM (SELECT number FROM numbers({count:UInt32}) ORDER BY number)",
        {"zone": zone, "count": count},
    )
    assert found == [local_midnight(first + timedelta(n), zone) for n in range(count)]
