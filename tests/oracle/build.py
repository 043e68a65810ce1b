"""Short ways to write records, terms and histories for the tests of the evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import count
from typing import Any

from relo_dsl.catalog import PropertyType
from relo_dsl.consent import scope
from relo_dsl.interpret import History, members
from relo_dsl.plan import Plan
from relo_dsl.records import Record, parse_record
from relo_dsl.terms import ALL_TIME, Ago, Condition, Did, Predicate, Property, Selection, Window
from relo_dsl.times import UNITS, parse_instant

CLIENT = 3
NOW = parse_instant("2026-06-15T12:00:00Z")
DAY = UNITS["d"]
HOUR = UNITS["h"]

_serial = count(1)


def event(
    name: str = "purchase",
    ago: int = 0,
    device: str = "ana",
    *,
    eid: str | None = None,
    flags: int | None = None,
    client: int = CLIENT,
    **props: Any,
) -> Record:
    """An event `ago` milliseconds before NOW, with an id of its own unless one is given."""
    raw = {"t": name, "ts": NOW - ago, "cid": client, "did": device, "props": props}
    return _record(raw, eid, flags)


def identify(
    ago: int = 0,
    device: str = "ana",
    *,
    eid: str | None = None,
    flags: int | None = None,
    **traits: Any,
) -> Record:
    raw = {"t": "identify", "ts": NOW - ago, "cid": CLIENT, "did": device, "traits": traits}
    return _record(raw, eid, flags)


def consent(flags: int, ago: int = 0, device: str = "ana", *, eid: str | None = None) -> Record:
    raw = {"t": "consent", "ts": NOW - ago, "cid": CLIENT, "did": device, "consent": flags}
    return _record(raw, eid, None)


def score(ago: int = 0, device: str = "ana", **scores: Any) -> Record:
    raw = {"t": "score", "ts": NOW - ago, "cid": CLIENT, "did": device, "scores": scores}
    return _record(raw, None, None)


def _record(raw: dict[str, Any], eid: str | None, flags: int | None) -> Record:
    raw["eid"] = eid or f"e{next(_serial)}"
    if flags is not None:
        raw["flags"] = flags
    return parse_record(raw)


def text(name: str) -> Property:
    return Property(name, PropertyType.STRING)


def number(name: str) -> Property:
    return Property(name, PropertyType.NUMBER)


def d(value: str | int) -> Decimal:
    return Decimal(value)


def did(name: str = "purchase", within: int | None = None, where: Predicate | None = None) -> Did:
    """`NAME[where] within …`; every type where `name` is empty."""
    window = ALL_TIME if within is None else Window(after=Ago(within))
    return Did(Selection((name,) if name else (), where), window)


def found(
    condition: Condition,
    records: Sequence[Record],
    *,
    at: int = NOW,
    mask: int = 1,
    default: int = 255,
    months: int | None = None,
    extended: int | None = None,
    lists: Mapping[str, frozenset[str]] | None = None,
) -> set[str]:
    """The members at `at`, with no retention unless `months` sets one."""
    plan = Plan(CLIENT, condition, mask, default, months, extended)
    history = History.of(records, client=CLIENT, default_flags=default)
    return set(members(scope(plan), history, at, lists or {}))
