"""Many cases in one load, one client each; then every answer of SQL beside the evaluator's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import pyarrow as pa

from relo_dsl.consent import ScopedPlan, scope
from relo_dsl.engine import ClientRules, Engine, device_key, load_records
from relo_dsl.interpret import (
    History,
    consented,
    context_of,
    exists,
    holdout,
    holds,
    members,
    view,
)
from relo_dsl.plan import compares_devices
from relo_dsl.sql.lower import count_query, holdout_query, members_query, withheld_query
from relo_dsl.sql.query import SqlQuery
from tests.differential.cases import Case
from tests.differential.world import CATALOG, CATALOGS

KEY = bytes(range(32))
_LONGEST = 1200
_clients = count(1_000_000, 2)


@dataclass(frozen=True)
class Mismatch:
    """What SQL said where the evaluator said something else, or the error that it raised."""

    case: Case
    at: int
    what: str
    expected: object
    found: object


@dataclass
class Tally:
    """What was compared, and where the time went (seconds)."""

    cases: int = 0
    checks: int = 0
    members: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def spend(self, what: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - since
        return now


@contextmanager
def everything_kept(engine: Engine) -> Iterator[None]:
    """Retention is compared at instants long past: the clock of this machine has no say in it."""
    [(made,)] = engine.rows("SHOW CREATE TABLE events")
    rule = str(made).split("\nTTL ")[1].split("\nSETTINGS ")[0]
    engine.command("ALTER TABLE events REMOVE TTL")
    try:
        yield
    finally:
        engine.command(
            f"ALTER TABLE events MODIFY TTL {rule}", settings={"materialize_ttl_after_modify": 0}
        )


def compare(
    engine: Engine, cases: Sequence[Case], tally: Tally, asked: Sequence[str] = ()
) -> Iterator[Mismatch]:
    """Loads the cases and yields every difference.

    `asked` are the queries to compare (of `QUERIES`); none: the members of every case at every
    instant, and of every fourth case the other queries too, which differ in the outermost SELECT.
    """
    placed = [(next(_clients), case) for case in cases]
    started = time.perf_counter()
    load(engine, placed)
    tally.spend("load", started)
    for number, (client, case) in enumerate(placed):
        tally.cases += 1
        usual = tuple(QUERIES) if number % 4 == 0 else ("members",)
        yield from compare_case(engine, client, case, tally, asked or usual)


def load(engine: Engine, placed: Sequence[tuple[int, Case]]) -> None:
    rules = {}
    first, second = [], []
    for client, case in placed:
        rules[client] = rules[client + 1] = _rules(case)
        records = case.records(client)
        first += records[: case.second_load]
        second += records[case.second_load :]
    for records in (first, second):
        load_records(engine, records, catalog=CATALOG, key=KEY, rules=rules)
    _load_lists(engine, placed)


def _rules(case: Case) -> ClientRules:
    catalog = CATALOGS[case.rules]
    if catalog.retention is None:
        return ClientRules(catalog.default_flags, _LONGEST, _LONGEST)
    return ClientRules.of(catalog)


def _load_lists(engine: Engine, placed: Sequence[tuple[int, Case]]) -> None:
    """All lists in one insert: `load_list`, one insert each, has tests of its own."""
    rows: list[tuple[int, str, int, bytes]] = []
    for client, case in placed:
        for name, devices in case.lists:
            rows += [(client, name, 2, bytes(16)), (client, name, 1, device_key(KEY, client, "a"))]
            rows += [(client + 1, name, 3, device_key(KEY, client, "b"))]
            rows += [(client, name, 2, device_key(KEY, client, device)) for device in devices]
    if not rows:
        return
    kinds = (pa.uint32(), pa.string(), pa.uint64(), pa.binary(16))
    names = ("client_id", "name", "version", "device")
    columns = {
        name: pa.array([row[i] for row in rows], kind)
        for i, (name, kind) in enumerate(zip(names, kinds, strict=True))
    }
    engine.insert_arrow("lists", pa.table(columns), one_part=True)


def compare_case(
    engine: Engine, client: int, case: Case, tally: Tally, asked: Sequence[str]
) -> Iterator[Mismatch]:
    started = time.perf_counter()
    scoped = scope(case.plan(client))
    history = History.of(
        case.records(client), client=client, default_flags=scoped.plan.default_flags
    )
    keys = {name: device_key(KEY, client, name) for name in history.devices}
    names = {key: name for name, key in keys.items()}
    tally.spend("bind", started)
    for at in case.instants:
        started = time.perf_counter()
        expected = members(scoped, history, at, case.listed, key=key_of(client))
        held_back = _withheld(scoped, history, at, case)
        tally.spend("interpret", started)
        tally.members += len(expected)
        listed = sorted(expected)
        right = {
            "members": listed,
            "stream": listed,
            "count": len(expected),
            "below": sum(keys[name] < _MIDDLE for name in expected),
            "from": sum(keys[name] >= _MIDDLE for name in expected),
            "withheld": held_back,
            "holdout": sorted(holdout(scoped, history, at, case.listed, key=key_of(client))),
        }
        for what in asked:
            if what in ("below", "from") and compares_devices(scoped.plan):
                continue  # of these no part tells the whole
            found = _answer(engine, scoped, at, names, what, tally)
            tally.checks += 1
            if found != right[what]:
                yield Mismatch(case, at, what, right[what], found)


#: Device keys are hashes: half of them lie below.
_MIDDLE: bytes = bytes([128, *bytes(15)])
#: `stream` is the way members are published.
QUERIES: dict[str, Callable[[ScopedPlan, int], SqlQuery]] = {
    "members": members_query,
    "stream": members_query,
    "count": count_query,
    "below": lambda scoped, at: count_query(scoped, at, (None, _MIDDLE)),
    "from": lambda scoped, at: count_query(scoped, at, (_MIDDLE, None)),
    "withheld": withheld_query,
    "holdout": holdout_query,
}


def key_of(client: int) -> Callable[[str], str]:
    """The keys of a client's devices as rankings and samples see them."""
    return lambda device: device_key(KEY, client, device).hex()


def _answer(
    engine: Engine,
    scoped: ScopedPlan,
    at: int,
    names: dict[bytes, str],
    what: str,
    tally: Tally,
) -> object:
    started = time.perf_counter()
    try:
        query = QUERIES[what](scoped, at)
        started = tally.spend("compile", started)
        if what == "stream":
            keys = [key for chunk in engine.members(query) for key in chunk]
        else:
            rows = engine.query(query).rows
            keys = [row[0] for row in rows]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    tally.spend("query", started)
    if what in ("members", "stream", "holdout"):
        return sorted(names.get(key, repr(key)) for key in keys)
    return keys[0]


def _withheld(scoped: ScopedPlan, history: History, at: int, case: Case) -> int:
    """How many devices meet the condition and lack the consent."""
    context = context_of(scoped, history, at, case.listed)
    return sum(
        exists(scoped, device, at)
        and not consented(scoped, device, at)
        and holds(scoped.plan.condition, view(scoped, device, at), context)
        for device in history.devices.values()
    )
